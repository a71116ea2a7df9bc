"""Retries, back-off, the retry budget and the circuit breaker."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.errors import ArtifactStoreError
from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.circuit_breaker import CircuitBreaker
from verifywise_mlflow.http.errors import (
    AddressNotAllowedError,
    CircuitOpenError,
    ConcurrencyLimitError,
    GatewayError,
    HttpError,
    InternalServerError,
    RateLimitedError,
    UnreachableError,
)
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.connector.rest_clients import NOT_FOUND_RESPONSE, client_for, request_error
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    json_response,
    make_response,
    respond_with,
)

SPARE_SECONDS = 8
"""Tolerance for a busy machine. Without the limits, a request would wait for twenty seconds and more."""


def fetch(client: RestClient, endpoint: MlflowEndpoint = MlflowEndpoint.SEARCH_MODELS) -> HttpError | None:
    try:
        client.get_json(endpoint)
    except HttpError as error:
        return error
    return None


def test_a_rate_limited_request_is_retried_after_retry_after() -> None:
    busy = make_response("", 429, headers={"Retry-After": "1"})
    with hostile_server(respond_with(busy, make_response('{"a": 1}'))) as server:
        client = client_for(server.uri, Limits(max_attempts=3))
        began = time.monotonic()

        assert client.get_json(MlflowEndpoint.SEARCH_MODELS) == {"a": 1}

    assert 1 <= time.monotonic() - began < 1 + SPARE_SECONDS
    assert client.traffic.requests == len(server.requests) == 2


def test_a_wait_beyond_the_retry_deadline_fails_at_once() -> None:
    with hostile_server(respond_with(make_response("", 429, headers={"Retry-After": "86400"}))) as server:
        began = time.monotonic()

        error = request_error(client_for(server.uri, Limits(max_attempts=3)))

    assert isinstance(error, RateLimitedError)
    assert time.monotonic() - began < SPARE_SECONDS
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("response", "requests"), [(make_response("", 500), 3), (make_response("", 400), 1), (NOT_FOUND_RESPONSE, 1)]
)
def test_only_retryable_errors_are_retried(response: bytes, requests: int) -> None:
    with hostile_server(respond_with(response)) as server:
        client = client_for(server.uri, Limits(max_attempts=3))

        error = request_error(client)

    assert error.retryable is (requests > 1)
    assert client.traffic.requests == len(server.requests) == requests


def test_an_unreadable_artifact_store_is_not_retried() -> None:
    with hostile_server(respond_with(make_response("no boto3", 500, "text/html"))) as server:
        client = client_for(server.uri, Limits(max_attempts=3))

        with pytest.raises(ArtifactStoreError, match="artifact store") as raised:
            client.get_json(MlflowEndpoint.LIST_RUN_ARTIFACTS, {"run_id": "r1"})

    assert not raised.value.retryable
    assert len(server.requests) == 1


def test_a_transient_failure_is_not_an_error() -> None:
    with hostile_server(respond_with(make_response("", 502), b"", make_response('{"a": 1}'))) as server:
        assert client_for(server.uri, Limits(max_attempts=3)).get_json(MlflowEndpoint.SEARCH_MODELS) == {"a": 1}


def test_three_failed_requests_in_a_row_open_the_circuit() -> None:
    with hostile_server(respond_with(make_response("", 503))) as server:
        client = client_for(server.uri, Limits(max_attempts=1))
        errors = [fetch(client) for _ in range(20)]

    assert [type(error) for error in errors] == [GatewayError] * 3 + [CircuitOpenError] * 17
    assert len(server.requests) == client.traffic.requests == 3
    assert "no request was sent to 127.0.0.1: 3 requests in a row failed, so the circuit breaker is open" in str(
        errors[-1]
    )
    assert "responded with 503" in str(errors[-1])
    assert len({str(error) for error in errors[3:]}) == 1, "the message may be stored, so it counts no seconds down"
    assert "breaker_open_seconds" in str(errors[-1])


def test_in_a_half_open_circuit_a_single_attempt_decides_whether_the_server_is_back() -> None:
    with hostile_server(respond_with(*[make_response("", 503)] * 4, make_response('{"a": 1}'))) as server:
        client = client_for(
            server.uri, Limits(max_attempts=3, breaker_threshold=1, breaker_open_seconds=1, retry_deadline_seconds=9)
        )
        first = fetch(client)
        requests_before = len(server.requests)
        time.sleep(1.1)
        second, meanwhile = fetch(client), fetch(client)
        requests_second = len(server.requests)
        time.sleep(1.1)

        assert fetch(client) is None

    assert isinstance(first, GatewayError)
    assert isinstance(second, GatewayError)
    assert isinstance(meanwhile, UnreachableError)
    assert (requests_before, requests_second) == (3, 4), "no retry in a half-open circuit"


@pytest.mark.parametrize("late_failure", [None, InternalServerError("it responded with 500")])
def test_a_late_response_closes_an_open_circuit(late_failure: HttpError | None) -> None:
    breaker = CircuitBreaker(Limits(breaker_threshold=1), "mlflow.example.com")
    sent_at = time.monotonic()
    breaker.record_failure(GatewayError("it responded with 502"), sent_at)
    with pytest.raises(CircuitOpenError):
        breaker.check()

    if late_failure:
        breaker.record_failure(late_failure, sent_at)
    else:
        breaker.record_success()

    breaker.check()
    assert not breaker.has_tripped


@pytest.mark.parametrize(
    "unsent",
    [
        ConcurrencyLimitError("our other requests to it did not end in time"),
        AddressNotAllowedError("it has a private address", "Allow it"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_request_that_was_not_sent_does_not_close_an_open_circuit(unsent: HttpError) -> None:
    breaker = CircuitBreaker(Limits(breaker_threshold=1), "mlflow.example.com")
    waited_since = time.monotonic()
    breaker.record_failure(GatewayError("it responded with 502"), waited_since)

    breaker.record_failure(unsent, waited_since)

    with pytest.raises(CircuitOpenError):
        breaker.check()


def test_a_success_resets_the_failure_count() -> None:
    unavailable, available = make_response("", 503), make_response("{}")
    with hostile_server(
        respond_with(unavailable, unavailable, available, unavailable, unavailable, available)
    ) as server:
        client = client_for(server.uri, Limits(max_attempts=1))
        failed = [fetch(client) is not None for _ in range(6)]

    assert failed == [True, True, False, True, True, False]


def test_internal_server_errors_do_not_open_the_circuit() -> None:
    with hostile_server(respond_with(make_response("", 500))) as server:
        client = client_for(server.uri, Limits(max_attempts=1))
        errors = [fetch(client) for _ in range(8)]

    assert {type(error) for error in errors} == {InternalServerError}
    assert len(server.requests) == 8


def test_all_requests_of_a_connection_share_one_retry_budget() -> None:
    with hostile_server(respond_with(make_response("", 500, headers={"Retry-After": "1"}))) as server:
        client = client_for(server.uri, Limits(max_attempts=9, retry_budget_seconds=2.9))
        began = time.monotonic()
        for _ in range(5):
            fetch(client)

    assert 2 <= time.monotonic() - began < 2 + SPARE_SECONDS
    assert len(server.requests) == 5 + 2, "two retries of a second each, then none"


def test_no_attempt_starts_after_the_retry_deadline() -> None:
    with hostile_server(respond_with(make_response("", 500, headers={"Retry-After": "1"}))) as server:
        fetch(client_for(server.uri, Limits(max_attempts=9, retry_deadline_seconds=1.9)))

    assert len(server.requests) == 2


def test_a_response_that_breaks_off_is_retried() -> None:
    with hostile_server(respond_with(make_response('{"a":1}', length=900), make_response('{"a": 1}'))) as server:
        client = client_for(server.uri, Limits())

        assert client.get_json(MlflowEndpoint.SEARCH_MODELS) == {"a": 1}


def hangs(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
    server.hang()
    yield b""


def test_a_server_that_accepts_connections_and_never_responds_costs_seconds() -> None:
    limits = Limits(probe_timeout_seconds=1, retry_deadline_seconds=2)
    with hostile_server(hangs) as server:
        began = time.monotonic()
        with pytest.raises(UnreachableError, match="did not respond"):
            MlflowReader(ConnectionSettings(server.uri, allow_private_network=True, limits=limits))

        assert time.monotonic() - began < limits.retry_deadline_seconds + limits.probe_timeout_seconds + SPARE_SECONDS
    default = Limits()
    assert default.retry_deadline_seconds + default.probe_timeout_seconds <= 30, (
        "the default limits end within 30 seconds, too"
    )


def test_a_closed_port_costs_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    began = time.monotonic()

    with pytest.raises(UnreachableError, match="refused"):
        MlflowReader(ConnectionSettings(f"http://127.0.0.1:{port}", allow_private_network=True))

    assert time.monotonic() - began < SPARE_SECONDS


def test_concurrent_requests_of_a_tenant_are_bounded() -> None:
    in_flight, peak, lock = 0, 0, threading.Lock()

    def script(_server: HostileServer, _request: ReceivedRequest) -> bytes:
        nonlocal in_flight, peak
        with lock:
            in_flight += 1
            peak = max(peak, in_flight)
        time.sleep(0.02)
        with lock:
            in_flight -= 1
        return json_response({})

    with hostile_server(script) as server, ThreadPoolExecutor(12) as threads:
        client = client_for(server.uri, Limits(max_concurrent_requests=3))
        failed = list(threads.map(lambda _: fetch(client, MlflowEndpoint.GET_RUN), range(36)))

    assert failed == [None] * 36
    assert peak == 3


def test_requests_that_fail_together_count_once_with_the_circuit_breaker() -> None:
    together = threading.Barrier(2)
    responses = [503, 503, 200, *[503] * 10]

    def script(_server: HostileServer, _request: ReceivedRequest) -> bytes:
        status = responses.pop(0)
        if len(responses) >= 11:
            together.wait(timeout=30)  # the first two are under way at the same time
        return make_response("{}", status)

    limits = Limits(max_attempts=1, breaker_threshold=2)
    with hostile_server(script) as server, ThreadPoolExecutor(2) as threads:
        client = client_for(server.uri, limits)
        first = list(threads.map(lambda _: fetch(client), range(2)))
        then = [fetch(client) for _ in range(4)]

    assert [type(error) for error in first] == [GatewayError] * 2
    assert [type(error) for error in then] == [type(None), GatewayError, GatewayError, CircuitOpenError]
