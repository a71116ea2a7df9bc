"""A slow, endless or unread response does not block a request beyond its limits."""

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
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    make_response,
    respond_with,
)

SPARE_SECONDS = 5
"""Tolerance for a busy machine. Without the limits, these faults would block a request for half a minute and more."""


def headers_never_end(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    yield from server.drip(b"X-Slow: 1\r\n" * 50)


def body_drips(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
    yield make_response(b"", length=5_000)
    yield from server.drip(b" " * 5_000)


def chunks_drip(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield from server.drip(b"1\r\n \r\n" * 500)


def chunk_size_drips(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield from server.drip(b"0" * 5_000)


def error_drips(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
    yield make_response(b"", 400, length=5_000)
    yield from server.drip(b" " * 5_000)


def hangs_before_headers(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
    server.hang()
    yield b""


def hangs_in_body(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
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
def test_a_request_to_a_slow_server_fails_after_its_timeout(
    script: Callable[[HostileServer, ReceivedRequest], Iterator[bytes]], expected: type[HttpError]
) -> None:
    with hostile_server(script) as server:
        client = client_for(server.uri)
        began = time.monotonic()

        error = request_error(client)

        assert time.monotonic() - began < SHORT_LIMITS.request_timeout_seconds + SPARE_SECONDS
    assert type(error) is expected
    assert "127.0.0.1" in str(error) or SEARCH_MODELS_PATH in str(error)
    assert ("request_timeout_seconds" in str(error)) == (expected is ResponseTimeoutError)


def test_a_slow_file_fails_after_the_file_timeout() -> None:
    with hostile_server(body_drips) as server:
        client = client_for(server.uri)
        began = time.monotonic()

        with (
            pytest.raises(LimitExceededError, match=r"0\.9 seconds allowed here \(file_timeout_seconds\)"),
            client.stream(MlflowEndpoint.GET_RUN_ARTIFACT, {}, max_bytes=10_000) as chunks,
        ):
            list(chunks)

        assert (
            SHORT_LIMITS.request_timeout_seconds
            < time.monotonic() - began
            < SHORT_LIMITS.file_timeout_seconds + SPARE_SECONDS
        )


def test_a_file_stream_ends_at_max_bytes() -> None:
    with (
        hostile_server(respond_with(make_response(b"x" * 3_000_000, content_type="text/plain"))) as server,
        client_for(server.uri).stream(MlflowEndpoint.GET_RUN_ARTIFACT, {}, max_bytes=300_000) as chunks,
    ):
        content = b"".join(chunks)

    assert content == b"x" * 300_000


@pytest.mark.parametrize(
    "response", [make_response(b"x" * 900_000), make_response(b"x" * 900_000, 500), make_response(b"[]")]
)
def test_a_partly_read_response_does_not_block_later_requests(response: bytes) -> None:
    with hostile_server(respond_with(*[response] * 5, make_response('{"a": 1}'))) as server:
        client = client_for(server.uri)
        for _ in range(5):
            request_error(client)
        responses: list[dict[str, object]] = []

        thread = threading.Thread(
            target=lambda: responses.append(client.get_json(MlflowEndpoint.SEARCH_MODELS)), daemon=True
        )
        thread.start()
        thread.join(20)

        assert responses == [{"a": 1}]
