"""The cost of large, slow and numerous deliveries to a running listener, which still serves other tenants."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from verifywise_mlflow.listener import receiver
from verifywise_mlflow.listener.receiver import MAX_BODY_BYTES, UNKNOWN_PATHS_PER_MINUTE
from verifywise_mlflow_tests.listener.signed_deliveries import HINT, Installation
from verifywise_mlflow_tests.listener.signing import headers_of, post, tag_event

HEAD = "POST /mlflow/{path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


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

    assert sent < 20 * MAX_BODY_BYTES  # the size of the buffers of both sockets
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


def test_a_flood_costs_at_most_the_rate_limit_and_leaves_other_tenants_alone(installation: Installation) -> None:
    transactions = installation.transactions()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: installation.deliver("limited", tag_event()), range(200)))

    statuses = [answer.status for answer in answers]
    assert set(statuses) == {202, 429}
    accepted = statuses.count(202)
    assert 20 <= accepted <= 24  # the deliveries of a minute at once, and one more every 3 s
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


def received(connection: socket.socket) -> bytes:
    """Return the bytes that arrive until the listener closes the connection."""
    answer = b""
    try:
        while chunk := connection.recv(65_536):
            answer += chunk
    except ConnectionResetError:
        pass
    return answer
