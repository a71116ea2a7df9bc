"""When a server is asked again, how long is waited for it, and when it is let be."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from verifywise_mlflow.connector.endpoints import ReadCall
from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.http.client import Transport
from verifywise_mlflow.http.errors import (
    ArtifactStoreError,
    ConnectorError,
    GatewayError,
    CircuitOpenError,
    ServerFaultError,
    ThrottledError,
    UnreachableError,
)
from verifywise_mlflow.http.settings import Bounds, ConnectionSettings
from verifywise_mlflow_tests.connector.requests import MLFLOWS_404, error_of, transport_to
from verifywise_mlflow_tests.http.hostile_server import (
    Asked,
    HostileServer,
    answer,
    hostile_server,
    json_answer,
    serving,
)

SPARE_SECONDS = 8
"""What a busy machine may take on top. Who waits too long here, waits for twenty seconds and more."""


def ask(transport: Transport) -> ConnectorError | None:
    try:
        transport.get_json(ReadCall.SEARCH_MODELS)
    except ConnectorError as error:
        return error
    return None


def test_throttling_is_waited_out_as_long_as_the_server_asks_for() -> None:
    busy = answer("", 429, headers={"Retry-After": "1"})
    with hostile_server(serving(busy, answer('{"a": 1}'))) as server:
        transport = transport_to(server.uri, Bounds(attempts=3))
        began = time.monotonic()

        assert transport.get_json(ReadCall.SEARCH_MODELS) == {"a": 1}

    assert 1 <= time.monotonic() - began < 1 + SPARE_SECONDS
    assert transport.traffic.requests == len(server.asked) == 2


def test_a_wait_beyond_the_budget_is_not_begun() -> None:
    with hostile_server(serving(answer("", 429, headers={"Retry-After": "86400"}))) as server:
        began = time.monotonic()

        error = error_of(transport_to(server.uri, Bounds(attempts=3)))

    assert isinstance(error, ThrottledError)
    assert time.monotonic() - began < SPARE_SECONDS
    assert len(server.asked) == 1


@pytest.mark.parametrize(("sent", "requests"), [(answer("", 500), 3), (answer("", 400), 1), (MLFLOWS_404, 1)])
def test_a_request_is_sent_again_only_where_that_can_help(sent: bytes, requests: int) -> None:
    with hostile_server(serving(sent)) as server:
        transport = transport_to(server.uri, Bounds(attempts=3))

        error = error_of(transport)

    assert error.retryable is (requests > 1)
    assert transport.traffic.requests == len(server.asked) == requests


def test_an_artifact_store_that_the_server_cannot_read_is_asked_once() -> None:
    with hostile_server(serving(answer("no boto3", 500, "text/html"))) as server:
        transport = transport_to(server.uri, Bounds(attempts=3))

        with pytest.raises(ArtifactStoreError, match="artifact store") as raised:
            transport.get_json(ReadCall.LIST_RUN_ARTIFACTS, {"run_id": "r1"})

    assert not raised.value.retryable
    assert len(server.asked) == 1


def test_a_fault_that_passes_is_not_an_error() -> None:
    with hostile_server(serving(answer("", 502), b"", answer('{"a": 1}'))) as server:
        assert transport_to(server.uri, Bounds(attempts=3)).get_json(ReadCall.SEARCH_MODELS) == {"a": 1}


def test_a_server_that_leaves_three_requests_in_a_row_without_an_answer_is_let_be() -> None:
    with hostile_server(serving(answer("", 503))) as server:
        transport = transport_to(server.uri, Bounds(attempts=1))
        errors = [ask(transport) for _ in range(20)]

    assert [type(error) for error in errors] == [GatewayError] * 3 + [CircuitOpenError] * 17
    assert len(server.asked) == transport.traffic.requests == 3
    assert "was not asked: 3 requests in a row failed" in str(errors[-1])
    assert "answered 503" in str(errors[-1])
    assert len({str(error) for error in errors[3:]}) == 1, "no seconds that count down: the words may be kept"
    assert "rest_seconds" in str(errors[-1])


def test_after_its_rest_one_try_tells_whether_the_server_is_back() -> None:
    with hostile_server(serving(*[answer("", 503)] * 4, answer('{"a": 1}'))) as server:
        transport = transport_to(server.uri, Bounds(attempts=3, failures_in_a_row=1, rest_seconds=1, retry_seconds=9))
        first = ask(transport)
        asked_first = len(server.asked)
        time.sleep(1.1)
        second, meanwhile = ask(transport), ask(transport)
        asked_second = len(server.asked)
        time.sleep(1.1)

        assert ask(transport) is None

    assert isinstance(first, GatewayError)
    assert isinstance(second, GatewayError)
    assert isinstance(meanwhile, UnreachableError)
    assert (asked_first, asked_second) == (3, 4), "after the rest, no second try"


def test_an_answer_in_between_starts_the_count_anew() -> None:
    down, up = answer("", 503), answer("{}")
    with hostile_server(serving(down, down, up, down, down, up)) as server:
        transport = transport_to(server.uri, Bounds(attempts=1))
        failed = [ask(transport) is not None for _ in range(6)]

    assert failed == [True, True, False, True, True, False]


def test_an_object_that_the_server_trips_over_does_not_speak_for_the_others() -> None:
    with hostile_server(serving(answer("", 500))) as server:
        transport = transport_to(server.uri, Bounds(attempts=1))
        errors = [ask(transport) for _ in range(8)]

    assert {type(error) for error in errors} == {ServerFaultError}
    assert len(server.asked) == 8


def test_the_retries_of_a_connection_have_one_purse() -> None:
    with hostile_server(serving(answer("", 500, headers={"Retry-After": "1"}))) as server:
        transport = transport_to(server.uri, Bounds(attempts=9, connection_retry_seconds=2.9))
        began = time.monotonic()
        for _ in range(5):
            ask(transport)

    assert 2 <= time.monotonic() - began < 2 + SPARE_SECONDS
    assert len(server.asked) == 5 + 2, "two retries of a second each, then none"


def test_no_try_begins_after_retry_seconds() -> None:
    with hostile_server(serving(answer("", 500, headers={"Retry-After": "1"}))) as server:
        ask(transport_to(server.uri, Bounds(attempts=9, retry_seconds=1.9)))

    assert len(server.asked) == 2


def test_an_answer_that_breaks_off_once_is_asked_for_again() -> None:
    with hostile_server(serving(answer('{"a":1}', length=900), answer('{"a": 1}'))) as server:
        transport = transport_to(server.uri, Bounds())

        assert transport.get_json(ReadCall.SEARCH_MODELS) == {"a": 1}


def hangs(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
    server.hang()
    yield b""


def test_a_server_that_takes_connections_and_never_answers_costs_seconds() -> None:
    bounds = Bounds(probe_seconds=1, retry_seconds=2)
    with hostile_server(hangs) as server:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="did not answer"):
            MlflowReader(ConnectionSettings(server.uri, allow_private_network=True, bounds=bounds))

        assert time.monotonic() - began < bounds.retry_seconds + bounds.probe_seconds + SPARE_SECONDS
    usual = Bounds()
    assert usual.retry_seconds + usual.probe_seconds <= 30, "so the usual bounds end within 30 seconds, too"


def test_a_closed_port_costs_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    began = time.monotonic()

    with pytest.raises(UnreachableError, match="refused"):
        MlflowReader(ConnectionSettings(f"http://127.0.0.1:{port}", allow_private_network=True))

    assert time.monotonic() - began < SPARE_SECONDS


def test_no_more_requests_are_under_way_at_a_server_than_it_is_to_have_whoever_asks() -> None:
    under_way, most, lock = 0, 0, threading.Lock()

    def script(_server: HostileServer, _asked: Asked) -> bytes:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        return json_answer({})

    with hostile_server(script) as server, ThreadPoolExecutor(12) as threads:
        # Two tenants of one server: two connections.
        transports = [transport_to(server.uri, Bounds(requests_at_once=3)) for _ in range(2)]
        failed = list(threads.map(lambda number: ask(transports[number % 2]), range(36)))

    assert failed == [None] * 36
    assert most == 3
