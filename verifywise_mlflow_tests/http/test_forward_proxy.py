"""Requests through a tenant's forward proxy: a real proxy on a real socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.errors import (
    AddressNotAllowedError,
    GatewayError,
    HttpError,
    ProxyRefusedError,
    ResponseTimeoutError,
    UnreachableError,
)
from verifywise_mlflow.http.request_auth import StaticHeaders
from verifywise_mlflow.http.settings import ConnectionSettings, Limits, ProxySettings
from verifywise_mlflow_tests.support.certificate_authorities import Authority, make_authority
from verifywise_mlflow_tests.support.forward_proxy import forward_proxy
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    make_response,
    respond_with,
)

PASSWORD = "hunter2-of-the-proxy"
PROXY_AUTH = {"Proxy-Authorization": "Basic YW5uOmh1bnRlcjItb2YtdGhlLXByb3h5"}
USER = f"ann:{PASSWORD}"
TOKEN = "Bearer for-the-server"
SHORT_LIMITS = Limits(connect_timeout_seconds=0.7, request_timeout_seconds=0.7, max_attempts=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


def client_through(
    proxy: str,
    server: str,
    *,
    headers: Callable[[], Mapping[str, str]] = lambda: PROXY_AUTH,
    proxy_may_be_private: bool = True,
    server_may_be_private: bool = True,
    authority: Authority | None = None,
) -> RestClient:
    return RestClient(
        ConnectionSettings(
            server,
            credentials=lambda: StaticHeaders({"Authorization": TOKEN}),
            allow_private_network=server_may_be_private,
            ca_bundle=authority.certificate if authority else None,
            proxy=ProxySettings(proxy, headers, allow_private_network=proxy_may_be_private),
            limits=SHORT_LIMITS,
        )
    )


def request_error(client: RestClient) -> HttpError:
    with pytest.raises(HttpError) as caught:
        client.get_json(MlflowEndpoint.SEARCH_MODELS)
    client.close()
    assert PASSWORD not in f"{caught.value!r} {caught.value.__cause__!r}"
    return caught.value


def test_a_plain_request_is_forwarded_without_the_proxys_password() -> None:
    with hostile_server(respond_with(make_response('{"a": 1}'))) as server, forward_proxy(USER) as proxy:
        client = client_through(proxy.uri, server.uri)

        responses = [
            client.get_json(MlflowEndpoint.SEARCH_MODELS),
            client.post_json(MlflowEndpoint.SEARCH_RUNS, {"x": "ü"}),
        ]

    assert responses == [{"a": 1}, {"a": 1}]
    assert [proxied_request.line for proxied_request in proxy.requests] == [
        f"GET {server.uri}/api/2.0/mlflow/registered-models/search HTTP/1.1",
        f"POST {server.uri}/api/2.0/mlflow/runs/search HTTP/1.1",
    ]
    assert [request.headers["authorization"] for request in server.requests] == [TOKEN, TOKEN]
    assert server.requests[1].body == b'{"x": "\\u00fc"}'


def test_the_proxy_cannot_read_requests_to_an_https_server(authority: Authority) -> None:
    with (
        hostile_server(respond_with(make_response('{"a": 1}')), authority.server_context()) as server,
        forward_proxy(USER) as proxy,
    ):
        client = client_through(proxy.uri, server.uri, authority=authority)

        responses = [client.get_json(MlflowEndpoint.SEARCH_MODELS) for _ in range(2)]

    assert responses == [{"a": 1}, {"a": 1}]
    (proxied_request,) = proxy.requests  # one tunnel, used twice
    assert proxied_request.line.startswith(f"CONNECT 127.0.0.1:{server.port} ")
    assert "authorization" not in proxied_request.headers
    assert [request.headers.get("proxy-authorization") for request in server.requests] == [None, None]
    assert [request.headers["authorization"] for request in server.requests] == [TOKEN, TOKEN]


def test_a_tunnel_that_the_server_closed_is_reopened(authority: Authority) -> None:
    def closing(_server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
        yield make_response('{"a": 1}', headers={"Connection": "close"})

    with hostile_server(closing, authority.server_context()) as server, forward_proxy(USER) as proxy:
        client = client_through(proxy.uri, server.uri, authority=authority)

        responses = [client.get_json(MlflowEndpoint.SEARCH_MODELS) for _ in range(3)]

    assert responses == [{"a": 1}] * 3
    assert [proxied_request.line.split()[0] for proxied_request in proxy.requests] == ["CONNECT"] * 3


def test_host_names_are_resolved_by_the_proxy(authority: Authority) -> None:
    with hostile_server(respond_with(make_response('{"a": 1}')), authority.server_context()) as server:
        hosts = {"mlflow.example": server.port}
        with forward_proxy(hosts=hosts) as proxy:
            client = client_through(
                proxy.uri, "https://mlflow.example", server_may_be_private=False, authority=authority
            )

            assert client.get_json(MlflowEndpoint.SEARCH_MODELS) == {"a": 1}
            assert server.requests[0].headers["host"] == "mlflow.example"


def test_the_servers_certificate_is_verified_through_a_tunnel(authority: Authority, tmp_path: Path) -> None:
    other = make_authority(tmp_path, "other")
    with hostile_server(respond_with(make_response()), other.server_context()) as server, forward_proxy() as proxy:
        error = request_error(client_through(proxy.uri, server.uri, authority=authority))

    assert isinstance(error, UnreachableError)
    assert "certificate verify failed" in str(error)
    assert server.requests == []


REFUSALS = {
    "other credentials": (407, ProxyRefusedError, "Check username and password under proxy"),
    "other credentials, as tinyproxy reports them": (401, ProxyRefusedError, "Check username and password under proxy"),
    "a ban": (403, ProxyRefusedError, "Ask its operator to allow it"),
    "nothing behind it": (502, GatewayError, "cannot reach 127.0.0.1"),
    "a redirect": (302, ProxyRefusedError, "302"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_tunnel_names_the_proxy_and_its_reason_without_the_password(case: str, authority: Authority) -> None:
    status, error_type, text = REFUSALS[case]
    hostile_response = f"HTTP/1.1 {status} \x1b[31m{'x' * 5_000}\r\nLocation: http://127.0.0.1/\r\n\r\n".encode()
    with (
        hostile_server(respond_with(make_response()), authority.server_context()) as server,
        forward_proxy(refusal=hostile_response) as proxy,
    ):
        error = request_error(client_through(proxy.uri, server.uri, authority=authority))

    assert type(error) is error_type
    assert f"the tenant's proxy 127.0.0.1:{proxy.port}" in str(error)
    assert text in str(error)
    assert str(error).isascii()
    assert "\x1b" not in str(error)
    assert len(str(error)) < 500
    assert server.requests == []


def test_a_proxy_that_requires_credentials_is_named_for_plain_http_too() -> None:
    with hostile_server(respond_with(make_response())) as server, forward_proxy(USER) as proxy:
        error = request_error(client_through(proxy.uri, server.uri, headers=dict))

    assert isinstance(error, ProxyRefusedError)
    assert f"the tenant's proxy 127.0.0.1:{proxy.port} does not accept our credentials" in str(error)
    assert server.requests == []


@pytest.mark.parametrize(("status", "kind"), [(403, ProxyRefusedError), (503, GatewayError)])
def test_squids_own_errors_are_not_attributed_to_the_server(status: int, kind: type[HttpError]) -> None:
    page = make_response("<html>", status, "text/html", {"X-Squid-Error": "ERR_ACCESS_DENIED 0"})
    with forward_proxy(refusal=page) as proxy:
        error = request_error(client_through(proxy.uri, "http://mlflow.example"))

    assert type(error) is kind
    assert f"the tenant's proxy 127.0.0.1:{proxy.port}" in str(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_unreachable_proxy_is_named(scheme: str) -> None:
    error = request_error(client_through("http://127.0.0.1:1", f"{scheme}://mlflow.example"))

    assert isinstance(error, UnreachableError)
    assert "the tenant's proxy 127.0.0.1:1 cannot be reached: " in str(error)
    assert "refused" in str(error)
    assert "object at 0x" not in str(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_at_a_private_address_needs_its_own_permission(scheme: str) -> None:
    with forward_proxy() as proxy:
        error = request_error(client_through(proxy.uri, f"{scheme}://mlflow.example", proxy_may_be_private=False))

    assert isinstance(error, AddressNotAllowedError)
    assert "set allow_private_network: true under proxy" in str(error)
    assert proxy.requests == []


LITERAL_PRIVATE_ADDRESSES = [
    "127.0.0.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "%31%32%37.0.0.1",
    "10.1.2.3:8080",
    "169.254.169.254",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[fe80::1%25eth0]",
    "0.0.0.0",
    "localhost",
    "LOCALHOST.",
    "mlflow.localhost:5000",
]


@pytest.mark.parametrize("host", LITERAL_PRIVATE_ADDRESSES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_literal_private_address_is_not_requested_through_a_proxy(scheme: str, host: str) -> None:
    with forward_proxy() as proxy:
        with pytest.raises(AddressNotAllowedError, match="allow_private_network: true for the tenant"):
            client_through(proxy.uri, f"{scheme}://{host}", server_may_be_private=False)

        assert proxy.requests == []


def drip(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
    yield from server.drip(make_response('{"a": "' + "x" * 5_000 + '"}'))


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_drips_through_a_proxy_fails_at_the_deadline(tls: bool, authority: Authority) -> None:
    with hostile_server(drip, authority.server_context() if tls else None) as server, forward_proxy() as proxy:
        began = time.monotonic()

        error = request_error(client_through(proxy.uri, server.uri, authority=authority))

    assert isinstance(error, ResponseTimeoutError | UnreachableError)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("opening", [b"", b"HTTP/1.1 200 Go ahead\r\n"])
def test_a_proxy_that_drips_its_response_to_connect_fails_at_the_deadline(opening: bytes, authority: Authority) -> None:
    def dripping(server: HostileServer, _request: ReceivedRequest) -> Iterator[bytes]:
        yield opening
        while not server.is_stopping.is_set():
            yield from server.drip(b"X: y\r\n")

    with hostile_server(dripping) as proxy:
        began = time.monotonic()

        error = request_error(client_through(proxy.uri, "https://mlflow.example", authority=authority))

    assert isinstance(error, UnreachableError)
    assert f"the tenant's proxy 127.0.0.1:{proxy.port}" in str(error)
    assert time.monotonic() - began < 3


def test_proxy_variables_and_netrc_of_the_machine_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("default login thief password thief\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with (
        forward_proxy() as machine_proxy,
        forward_proxy() as tenant_proxy,
        hostile_server(respond_with(make_response("{}"))) as server,
    ):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, machine_proxy.uri)
            monkeypatch.setenv(name.lower(), machine_proxy.uri)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        direct = RestClient(ConnectionSettings(server.uri, allow_private_network=True, limits=SHORT_LIMITS))

        direct.get_json(MlflowEndpoint.SEARCH_MODELS)
        client_through(tenant_proxy.uri, server.uri).get_json(MlflowEndpoint.SEARCH_MODELS)

    assert (len(machine_proxy.requests), len(tenant_proxy.requests), len(server.requests)) == (0, 1, 2)
    assert "authorization" not in server.requests[0].headers
