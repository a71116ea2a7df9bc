"""What a running listener answers to genuine, repeated, forged, late and oversized deliveries, and what they cost."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import urllib3

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.listener import application, hint_writer, receiver, server
from verifywise_mlflow.listener.hint_writer import WAIT_S
from verifywise_mlflow.listener.receiver import MAX_BODY_BYTES, UNKNOWN_PATHS_PER_MINUTE
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind, WebhookStatus
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.listener.signing import headers_of, post, tag_event
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.login_roles import execute, login_role, new_name
from verifywise_mlflow_tests.support.running_listener import (
    RunningListener,
    WebhookSecrets,
    new_secrets,
    running_listener,
    write_tenants,
)
from verifywise_mlflow_tests.support.trail_entries import NOW

TENANTS = ("acme", "globex", "limited", "busy")
HEAD = "POST /mlflow/{path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
HINT = HintedObject(ObjectKind.MODEL, "churn", 3)


@dataclass(frozen=True, slots=True)
class Installation:
    """A listener whose database role is that of a listener, and the database."""

    listener: RunningListener
    tenants: dict[str, WebhookSecrets]
    store: Store
    owner_url: str
    role: str

    def deliver(
        self, tenant: str, body: str | bytes, headers: Mapping[str, str] | None = None, signed_seconds_ago: float = 0
    ) -> urllib3.BaseHTTPResponse:
        """Deliver an event that MLflow could have signed; ``headers`` replace those of MLflow."""
        of_tenant = self.tenants[tenant]
        text = body if isinstance(body, str) else body.decode()
        sent = headers_of(of_tenant.secret, text, signed_seconds_ago=signed_seconds_ago)
        return post(self.listener.address(of_tenant), body, sent | dict(headers or {}))

    def hints(self, tenant: str) -> list[HintedObject]:
        """Return the hints of a tenant, and remove them."""
        with self.store.begin(tenant) as session:
            hints = change_hints.pending(session)
            change_hints.settle(session, hints)
        return [hint.object for hint in hints]

    def status(self, tenant: str) -> WebhookStatus:
        """Return whether the webhooks of a tenant are alive."""
        with self.store.begin(tenant) as session:
            return change_hints.status(session)

    def count(self, tenant: str, outcome: str) -> int:
        """Return how many deliveries had this outcome."""
        metrics = self.listener.get("/metrics").data.decode()
        found = re.search(
            rf'verifywise_listener_deliveries_total{{outcome="{outcome}",tenant="{tenant}"}} ([\d.]+)', metrics
        )
        return int(float(found[1])) if found else 0

    def transactions(self) -> int:
        """Return how many transactions wrote deliveries."""
        with self.store.begin_shared() as connection:
            query = "SELECT count(*) FROM verifywise_mlflow.webhook_deliveries"
            return int(connection.exec_driver_sql(query).scalar_one())


@pytest.fixture(scope="module")
def installation(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    tenants = {name: new_secrets() for name in TENANTS} | {"rotating": new_secrets(2)}
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        limits = {"limited": {"events_per_minute": 20}, "busy": {"events_per_minute": 1_000}}
        write_tenants(tmp_path_factory.mktemp("listener") / "tenants.yaml", tenants, patch, limits)
        patch.setattr(receiver, "BODY_TIMEOUT_S", 1)
        patch.setattr(server, "CONNECTION_S", 2)
        patch.setattr(application, "_READINESS_LIFETIME_S", 0)
        owner_url = stack.enter_context(migrated_database(postgres))
        role = stack.enter_context(login_role(owner_url, new_name("listener")))
        owner = stack.enter_context(Store(owner_url))
        with owner.begin_shared() as connection:
            role_grants.grant(connection, role.name, "listener", None, NOW)
        restricted = stack.enter_context(Store(role.url, statement_seconds=WAIT_S))
        running = stack.enter_context(running_listener(restricted))
        yield Installation(running, tenants, owner, owner_url, role.name)


def test_a_genuine_delivery_leaves_a_hint_and_shows_that_the_webhooks_are_alive(installation: Installation) -> None:
    before = datetime.now(UTC)

    response = installation.deliver("acme", tag_event())

    assert (response.status, response.data) == (202, b"Accepted.")
    assert installation.hints("acme") == [HINT]
    assert installation.hints("globex") == []
    status = installation.status("acme")
    assert status.last_event_at == status.last_delivery_at
    assert status.last_delivery_at is not None
    assert before <= status.last_delivery_at <= datetime.now(UTC)


def test_a_repeated_delivery_is_accepted_and_changes_nothing(installation: Installation) -> None:
    body, of_acme = tag_event(), installation.tenants["acme"]
    headers = headers_of(of_acme.secret, body)
    url = installation.listener.address(of_acme)
    post(url, body, headers)
    installation.hints("acme")
    status = installation.status("acme")

    response = post(url, body, headers)

    assert (response.status, response.data) == (202, b"Repeated.")
    assert installation.hints("acme") == []
    assert installation.status("acme") == status


def test_of_copies_that_arrive_at_once_one_has_an_effect(installation: Installation) -> None:
    body, of_acme = tag_event(), installation.tenants["acme"]
    headers = headers_of(of_acme.secret, body)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(installation.listener.address(of_acme), body, headers).data, range(8)))

    assert sorted(answers) == [b"Accepted.", *[b"Repeated."] * 7]


def test_events_in_another_order_leave_the_same_hint(installation: Installation) -> None:
    for seconds in (0, 200, 100):
        assert installation.deliver("acme", tag_event(), signed_seconds_ago=seconds).status == 202

    assert installation.hints("acme") == [HINT]


def test_a_test_call_is_a_sign_of_life_and_no_hint(installation: Installation) -> None:
    data = {"name": "example_model", "version": "1", "key": "example_key", "value": "example_value"}
    body = json.dumps({"entity": "model_version_tag", "action": "set", "data": data})

    response = installation.deliver("globex", body)

    assert (response.status, response.data) == (202, b"Test.")
    assert installation.hints("globex") == []
    status = installation.status("globex")
    assert status.last_delivery_at is not None
    assert status.last_event_at is None


@pytest.mark.parametrize("number", [0, 1])
def test_both_secrets_sign_while_one_replaces_the_other(installation: Installation, number: int) -> None:
    of_tenant = installation.tenants["rotating"]
    body = tag_event()

    response = post(installation.listener.address(of_tenant), body, headers_of(of_tenant.secrets[number], body))

    assert response.status == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"X-MLflow-Signature": "v1,AAAA"},
        {"X-MLflow-Signature": ""},
        {"X-MLflow-Timestamp": str(int(time.time()) + 1)},
        {"X-MLflow-Timestamp": ""},
        {"X-MLflow-Delivery-Id": "another"},
        {"X-MLflow-Delivery-Id": "x" * 500},
    ],
)
def test_a_forged_delivery_is_refused_and_costs_no_transaction(
    installation: Installation, headers: dict[str, str]
) -> None:
    status, transactions = installation.status("acme"), installation.transactions()

    response = installation.deliver("acme", tag_event("forged"), headers)

    assert response.status == 401
    assert installation.hints("acme") == []
    assert (installation.status("acme"), installation.transactions()) == (status, transactions)


def test_the_secret_of_another_tenant_is_no_use(installation: Installation) -> None:
    body = tag_event()

    response = post(
        installation.listener.address(installation.tenants["acme"]),
        body,
        headers_of(installation.tenants["globex"].secret, body),
    )

    assert response.status == 401


@pytest.mark.parametrize(("seconds_ago", "sentence"), [(400, b"s ago"), (-400, b"s in the future")])
def test_what_was_signed_too_long_ago_or_in_the_future_is_refused(
    installation: Installation, seconds_ago: int, sentence: bytes
) -> None:
    response = installation.deliver("acme", tag_event(), signed_seconds_ago=seconds_ago)

    assert response.status == 401
    assert sentence in response.data
    assert b"are both clocks right?" in response.data
    assert installation.hints("acme") == []


def test_a_clock_that_differs_by_minutes_is_no_obstacle(installation: Installation) -> None:
    assert {installation.deliver("acme", tag_event(), signed_seconds_ago=s).status for s in (250, -250)} == {202}


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "in chunks"])
def test_a_body_that_is_too_large_is_not_read(installation: Installation, declared: bool) -> None:
    port, path = installation.listener.port, installation.tenants["acme"].path
    length = f"Content-Length: {10 * MAX_BODY_BYTES}" if declared else "Transfer-Encoding: chunked"
    head = f"{HEAD.format(path=path)}{length}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(head)
        sent = 0
        try:
            while not declared and sent < 64 * MAX_BODY_BYTES:
                connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
                sent += 65_536
        except OSError:
            pass  # the listener has closed the connection
        answer = received(connection)

    assert sent < 20 * MAX_BODY_BYTES  # what the buffers of both sockets hold
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413 ")
    assert declared is False or b"413" in answer
    assert installation.count("acme", "too large") >= 1


def test_the_largest_event_that_mlflow_can_send_about_a_tag_is_accepted(installation: Installation) -> None:
    data = {"name": "churn", "version": "3", "key": "card", "value": "模" * 100_000}
    body = json.dumps({"entity": "model_version_tag", "action": "set", "timestamp": "2026-01-01", "data": data})

    assert len(body) > 600_000
    assert installation.deliver("acme", body).status == 202
    assert installation.hints("acme") == [HINT]


def test_a_body_that_does_not_arrive_is_given_up(installation: Installation) -> None:
    path = installation.tenants["acme"].path
    with socket.create_connection(("127.0.0.1", installation.listener.port), timeout=10) as connection:
        connection.sendall(f"{HEAD.format(path=path)}Content-Length: 100\r\n\r\n{{".encode())
        began = time.monotonic()

        answer = received(connection)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("sent", [b"", b"POST /mlflow/", b"POST /mlflow/x HTTP/1.1\r\nHost: a\r\nX-Slow: 1"])
def test_a_connection_without_a_request_ends(installation: Installation, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", installation.listener.port), timeout=10) as connection:
        connection.sendall(sent)

        assert received(connection) == b""


def test_headers_are_bounded(installation: Installation) -> None:
    with socket.create_connection(("127.0.0.1", installation.listener.port), timeout=10) as connection:
        connection.sendall(b"POST /mlflow/x HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 100_000)

        assert received(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("body", ["not JSON", "[]", "{}"])
def test_a_signed_body_that_is_no_event_is_refused(installation: Installation, body: str) -> None:
    response = installation.deliver("acme", body)

    assert response.status == 400
    assert installation.hints("acme") == []


def test_another_content_type_is_refused(installation: Installation) -> None:
    assert installation.deliver("acme", tag_event(), {"Content-Type": "text/plain"}).status == 415


def test_an_event_of_another_workspace_is_refused(installation: Installation) -> None:
    body = json.dumps(json.loads(tag_event()) | {"workspace": "of-somebody-else"})

    assert installation.deliver("acme", body).status == 422
    assert installation.deliver("acme", body.replace("of-somebody-else", "default")).status == 202
    installation.hints("acme")


@pytest.mark.parametrize("name", ["x' OR 1=1 --", "a\0b", "../../etc/passwd", "<script>", "a" * 2_000, "模型\u202e"])
def test_a_hostile_name_is_a_name(installation: Installation, name: str) -> None:
    assert installation.deliver("acme", tag_event(name)).status == 202
    assert installation.hints("acme") == [HintedObject(ObjectKind.MODEL, name, 3)]


def test_an_unknown_path_tells_nothing_and_is_limited(installation: Installation) -> None:
    body = tag_event()
    headers = headers_of("some secret or other", body)
    url = f"{installation.listener.url}/mlflow/{'x' * 32}"

    answers = [post(url, body, headers) for _ in range(UNKNOWN_PATHS_PER_MINUTE + 10)]

    assert {(answer.status, answer.data) for answer in answers[:50]} == {(404, b"Not Found")}
    assert answers[-1].status == 429
    other = installation.listener.get("/somewhere/else")
    assert (other.status, other.data) == (404, b"Not Found")
    assert installation.deliver("acme", body).status == 202, "a genuine delivery is not limited by guesses"
    installation.hints("acme")


@pytest.mark.parametrize("path", ["/mlflow/{path}", "/mlflow/no-such-path-no-such-path"])
def test_other_methods_get_the_same_answer_on_every_path(installation: Installation, path: str) -> None:
    response = installation.listener.get(path.format(path=installation.tenants["acme"].path))

    assert (response.status, response.data) == (405, b"Method Not Allowed")


def test_a_flood_costs_at_most_the_rate_limit_and_leaves_other_tenants_alone(installation: Installation) -> None:
    transactions = installation.transactions()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: installation.deliver("limited", tag_event()), range(200)))

    statuses = [answer.status for answer in answers]
    assert set(statuses) == {202, 429}
    accepted = statuses.count(202)
    assert 20 <= accepted <= 24  # a minute's worth at once, and one more every 3 s
    assert installation.transactions() - transactions == accepted
    assert {answer.headers["Retry-After"] for answer in answers if answer.status == 429} <= {"1", "2", "3"}
    assert installation.hints("limited") == [HINT]
    assert installation.deliver("acme", tag_event()).status == 202
    installation.hints("acme")


def test_a_forged_flood_costs_no_transaction(installation: Installation) -> None:
    transactions = installation.transactions()
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda _: installation.deliver("globex", tag_event(), {"X-MLflow-Signature": "v1,A"}), range(100)
        )

    assert {answer.status for answer in answers} == {401}
    assert installation.transactions() == transactions


def test_slow_bodies_of_one_tenant_leave_room_for_the_others(installation: Installation) -> None:
    path = installation.tenants["busy"].path
    head = f"{HEAD.format(path=path)}Content-Length: 9\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(receiver.MAX_IN_PROGRESS_PER_TENANT):
            connection = socket.create_connection(("127.0.0.1", installation.listener.port), timeout=10)
            stack.enter_context(connection).sendall(head.encode())
        refused = installation.deliver("busy", tag_event())
        accepted = installation.deliver("acme", tag_event())

    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert accepted.status == 202
    installation.hints("acme")


def test_while_the_database_refuses_deliveries_mlflow_is_asked_to_send_them_again(installation: Installation) -> None:
    body, of_acme = tag_event(), installation.tenants["acme"]
    headers, url = headers_of(of_acme.secret, body), installation.listener.address(of_acme)
    table = "verifywise_mlflow.webhook_deliveries"
    execute(installation.owner_url, f"REVOKE INSERT ON {table} FROM {installation.role}")
    try:
        refused = post(url, body, headers)
        readiness = installation.listener.get("/readyz").status
    finally:
        execute(installation.owner_url, f"GRANT INSERT ON {table} TO {installation.role}")

    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert (readiness, installation.listener.get("/readyz").status) == (503, 200)
    assert post(url, body, headers).data == b"Accepted.", "the repetition has the effect that the first had not"
    assert installation.hints("acme") == [HINT]


def test_a_database_that_does_not_answer_is_given_up_and_what_it_got_is_written_once(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hint_writer, "WAIT_S", 0.5)
    body, of_acme = tag_event(), installation.tenants["acme"]
    headers, url = headers_of(of_acme.secret, body), installation.listener.address(of_acme)
    with installation.store.begin_shared() as connection:
        connection.exec_driver_sql("LOCK TABLE verifywise_mlflow.webhook_deliveries IN ACCESS EXCLUSIVE MODE")
        given_up = [post(url, body, headers).status for _ in range(hint_writer.THREADS + 2)]
        is_alive = installation.listener.get("/healthz").status

    assert (set(given_up), is_alive) == ({503}, 200)
    monkeypatch.setattr(hint_writer, "WAIT_S", WAIT_S)
    assert post(url, body, headers).data == b"Repeated."
    assert installation.hints("acme") == [HINT]


def test_health_readiness_and_metrics(installation: Installation) -> None:
    assert installation.listener.get("/healthz").status == 200
    assert installation.listener.get("/readyz").status == 200
    installation.deliver("acme", tag_event())
    installation.hints("acme")
    metrics = installation.listener.get("/metrics").data.decode()

    assert 'verifywise_listener_deliveries_total{outcome="accepted",tenant="acme"}' in metrics
    assert f"verifywise_listener_tenants {len(installation.tenants)}.0" in metrics
    assert "verifywise_listener_configuration_current 1.0" in metrics
    assert not any(of.path in metrics or of.secret in metrics for of in installation.tenants.values())


def received(connection: socket.socket) -> bytes:
    """Return what arrives until the listener closes the connection."""
    answer = b""
    try:
        while chunk := connection.recv(65_536):
            answer += chunk
    except ConnectionResetError:
        pass
    return answer
