"""The responses of a running listener to genuine, repeated, forged and late deliveries."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.listener import hint_writer
from verifywise_mlflow.listener.hint_writer import WAIT_S
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow_tests.listener.signed_deliveries import HINT, Installation
from verifywise_mlflow_tests.listener.signing import headers_of, post, tag_event
from verifywise_mlflow_tests.support.login_roles import execute


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
    installation.hints("acme")


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


@pytest.mark.parametrize("path", ["/mlflow/{path}", "/mlflow/no-such-path-no-such-path"])
def test_other_methods_get_the_same_answer_on_every_path(installation: Installation, path: str) -> None:
    response = installation.listener.get(path.format(path=installation.tenants["acme"].path))

    assert (response.status, response.data) == (405, b"Method Not Allowed")


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
