"""An answer that is slow, endless or left unread holds nobody up beyond its bound."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.http.errors import (
    HttpError,
    LimitExceededError,
    RequestRejectedError,
    ResponseTimeoutError,
    UnreachableError,
)
from verifywise_mlflow_tests.connector.rest_clients import SEARCH_MODELS_PATH, SHORT_LIMITS, client_for, request_error
from verifywise_mlflow_tests.http.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    make_response,
    respond_with,
)

SPARE_SECONDS = 5
"""What a busy machine may take on top. The faults here would hold a request for half a minute and more."""


def headers_never_end(server: HostileServer, _asked: ReceivedRequest) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    yield from server.drip(b"X-Slow: 1\r\n" * 50)


def body_drips(server: HostileServer, _asked: ReceivedRequest) -> Iterator[bytes]:
    yield make_response(b"", length=5_000)
    yield from server.drip(b" " * 5_000)


def chunks_drip(server: HostileServer, _asked: ReceivedRequest) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield from server.drip(b"1\r\n \r\n" * 500)


def chunk_size_drips(server: HostileServer, _asked: ReceivedRequest) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield from server.drip(b"0" * 5_000)


def error_drips(server: HostileServer, _asked: ReceivedRequest) -> Iterator[bytes]:
    yield make_response(b"", 400, length=5_000)
    yield from server.drip(b" " * 5_000)


def hangs_before_headers(server: HostileServer, _asked: ReceivedRequest) -> Iterator[bytes]:
    server.hang()
    yield b""


def hangs_in_body(server: HostileServer, _asked: ReceivedRequest) -> Iterator[bytes]:
    yield make_response(b'{"a"', length=500)
    server.hang()


SLOW: list[tuple[Callable[[HostileServer, ReceivedRequest], Iterator[bytes]], type[HttpError]]] = [
    (hangs_before_headers, UnreachableError),
    (headers_never_end, UnreachableError),
    (hangs_in_body, ResponseTimeoutError),
    (body_drips, ResponseTimeoutError),
    (chunks_drip, ResponseTimeoutError),
    (chunk_size_drips, ResponseTimeoutError),
    (error_drips, RequestRejectedError),
]


@pytest.mark.parametrize(("script", "expected"), SLOW)
def test_a_slow_server_holds_a_request_no_longer_than_request_seconds(
    script: Callable[[HostileServer, ReceivedRequest], Iterator[bytes]], expected: type[HttpError]
) -> None:
    with hostile_server(script) as server:
        transport = client_for(server.uri)
        began = time.monotonic()

        error = request_error(transport)

        assert time.monotonic() - began < SHORT_LIMITS.request_timeout_seconds + SPARE_SECONDS
    assert type(error) is expected
    assert "127.0.0.1" in str(error) or SEARCH_MODELS_PATH in str(error)
    assert ("request_timeout_seconds" in str(error)) == (expected is ResponseTimeoutError)


def test_a_file_has_file_seconds_and_no_longer() -> None:
    with hostile_server(body_drips) as server:
        transport = client_for(server.uri)
        began = time.monotonic()

        with (
            pytest.raises(LimitExceededError, match=r"0\.9 seconds allowed here \(file_timeout_seconds\)"),
            transport.stream(MlflowEndpoint.GET_RUN_ARTIFACT, {}, max_bytes=10_000) as chunks,
        ):
            list(chunks)

        assert (
            SHORT_LIMITS.request_timeout_seconds
            < time.monotonic() - began
            < SHORT_LIMITS.file_timeout_seconds + SPARE_SECONDS
        )


def test_a_file_stream_ends_at_its_bound_whatever_is_sent() -> None:
    with (
        hostile_server(respond_with(make_response(b"x" * 3_000_000, content_type="text/plain"))) as server,
        client_for(server.uri).stream(MlflowEndpoint.GET_RUN_ARTIFACT, {}, max_bytes=300_000) as chunks,
    ):
        content = b"".join(chunks)

    assert content == b"x" * 300_000


@pytest.mark.parametrize(
    "sent", [make_response(b"x" * 900_000), make_response(b"x" * 900_000, 500), make_response(b"[]")]
)
def test_an_answer_that_was_not_read_to_its_end_does_not_block_the_next_ones(sent: bytes) -> None:
    with hostile_server(respond_with(*[sent] * 5, make_response('{"a": 1}'))) as server:
        transport = client_for(server.uri)
        for _ in range(5):
            request_error(transport)
        found: list[dict[str, object]] = []

        asking = threading.Thread(
            target=lambda: found.append(transport.get_json(MlflowEndpoint.SEARCH_MODELS)), daemon=True
        )
        asking.start()
        asking.join(20)

        assert found == [{"a": 1}]
