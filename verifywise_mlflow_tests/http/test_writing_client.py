"""A request that writes is sent once, and its error states whether it may have been executed."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import get_type_hints

import pytest

from verifywise_mlflow.http.client import HttpClient, ResponseLimit
from verifywise_mlflow.http.errors import (
    AddressNotAllowedError,
    CircuitOpenError,
    GatewayError,
    HttpError,
    InvalidSettingsError,
    ResponseTimeoutError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.request_auth import ReadRequest, Request, StaticHeaders, WriteRequest
from verifywise_mlflow.http.response import Response
from verifywise_mlflow.http.settings import ConnectionSettings, Limits, ProxySettings
from verifywise_mlflow.http.writing_client import WritingHttpClient
from verifywise_mlflow_tests.support.certificate_authorities import make_authority
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    make_response,
    respond_with,
)

LIMITS = Limits(connect_timeout_seconds=1, request_timeout_seconds=0.5, max_attempts=3, breaker_threshold=2)


def error_from(response: Response) -> HttpError:
    match response.status:
        case 401:
            return UnauthenticatedError("401")
        case 502:
            return GatewayError("502")
        case _:
            return HttpError(str(response.status))


def client_for(uri: str, **settings: object) -> WritingHttpClient:
    defaults: dict[str, object] = {"allow_private_network": True, "limits": LIMITS}
    connection = ConnectionSettings(uri, **(defaults | settings))  # type: ignore[arg-type]  # each test's own
    return WritingHttpClient(connection, error_from, headers={}, decompress=True, success_statuses=(201, 204))


def write(client: WritingHttpClient, uri: str) -> Response:
    request = WriteRequest("POST", f"{uri}/entries", {"Content-Type": "application/json"}, b'{"a": 1}')
    return client.write(request, ResponseLimit(0.5, max_bytes=1_000), target="POST /entries")


def error_of(client: WritingHttpClient, uri: str) -> HttpError:
    with pytest.raises(HttpError) as caught:
        write(client, uri)
    return caught.value


def test_a_body_is_sent_and_each_success_is_returned() -> None:
    with hostile_server(respond_with(make_response(b'{"id": 1}', 201), make_response(b"", 204))) as server:
        client = client_for(server.uri)

        responses = [write(client, server.uri), write(client, server.uri)]

    assert [(response.status, response.body) for response in responses] == [(201, b'{"id": 1}'), (204, b"")]
    assert [(request.method, request.body) for request in server.requests] == [("POST", b'{"a": 1}')] * 2
    assert server.connections == 1


def _break_off(_server: HostileServer, _request: ReceivedRequest) -> bytes:
    return b""


def _hang(server: HostileServer, _request: ReceivedRequest) -> bytes:
    server.hang()
    return b""


def _cut(_server: HostileServer, _request: ReceivedRequest) -> bytes:
    return make_response(b'{"id"', 201, length=100)


def _drip(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
    response = make_response(b"x" * 100, 201)
    yield response[:-100]
    yield from server.drip(response[-100:])


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (respond_with(make_response(status=502)), GatewayError),
        (respond_with(make_response(status=400)), HttpError),
        (_break_off, UnreachableError),
        (_hang, UnreachableError),
        (_cut, UnreachableError),
        (_drip, ResponseTimeoutError),
    ],
)
def test_what_was_sent_is_not_sent_again(
    script: Callable[[HostileServer, ReceivedRequest], Iterator[bytes] | bytes], kind: type[HttpError]
) -> None:
    with hostile_server(script) as server:
        error = error_of(client_for(server.uri), server.uri)

    assert isinstance(error, kind)
    assert error.was_sent
    assert len(server.requests) == 1


def test_a_closed_port_gets_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        uri = f"http://127.0.0.1:{listener.getsockname()[1]}"

    error = error_of(client_for(uri), uri)

    assert isinstance(error, UnreachableError)
    assert not error.was_sent


def test_an_untrusted_server_gets_nothing(tmp_path: Path) -> None:
    with hostile_server(respond_with(make_response()), make_authority(tmp_path).server_context()) as server:
        error = error_of(client_for(server.uri), server.uri)

    assert isinstance(error, UnreachableError)
    assert not error.was_sent
    assert server.requests == []


def test_a_proxy_that_opens_no_tunnel_passes_nothing_on() -> None:
    with hostile_server(respond_with(make_response(status=502))) as proxy:
        settings = ProxySettings(proxy.uri, allow_private_network=True)
        error = error_of(client_for("https://127.0.0.1:1", proxy=settings), "https://127.0.0.1:1")

    assert isinstance(error, GatewayError)
    assert not error.was_sent
    assert [request.method for request in proxy.requests] == ["CONNECT"]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"allow_private_network": False}, AddressNotAllowedError),
        ({"credentials": lambda: StaticHeaders({"X-Key": "two\nlines"})}, InvalidSettingsError),
    ],
)
def test_what_is_not_allowed_is_not_sent(settings: Mapping[str, object], kind: type[HttpError]) -> None:
    with hostile_server(respond_with(make_response())) as server:
        error = error_of(client_for(server.uri, **settings), server.uri)

    assert isinstance(error, kind)
    assert not error.was_sent
    assert server.requests == []


def test_an_open_circuit_sends_nothing() -> None:
    with hostile_server(respond_with(make_response(status=502))) as server:
        client = client_for(server.uri)
        errors = [error_of(client, server.uri) for _ in range(3)]

    assert [type(error) for error in errors] == [GatewayError, GatewayError, CircuitOpenError]
    assert not errors[2].was_sent
    assert len(server.requests) == 2


def test_a_client_that_reads_takes_no_request_that_writes() -> None:
    assert get_type_hints(HttpClient.fetch)["request"] is get_type_hints(HttpClient.stream)["request"] is ReadRequest
    assert not issubclass(WriteRequest, ReadRequest)
    assert not issubclass(ReadRequest, WriteRequest)
    assert {name for name in dir(WritingHttpClient) if not name.startswith("_")} - set(dir(HttpClient)) == {"write"}


class _Renewable:
    """Credentials that can be renewed once."""

    def __init__(self) -> None:
        self.token = "expired"

    def headers(self, request: Request) -> Mapping[str, str]:
        del request
        return {"Authorization": f"Bearer {self.token}"}

    def renew(self) -> bool:
        self.token = "fresh"
        return True


def test_expired_credentials_are_renewed_since_nothing_was_executed() -> None:
    with hostile_server(respond_with(make_response(status=401), make_response(status=201))) as server:
        write(client_for(server.uri, credentials=_Renewable), server.uri)

    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer expired", "Bearer fresh"]
