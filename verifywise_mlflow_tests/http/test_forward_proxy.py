"""A tenant's forward proxy, as a real one on a real socket sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from verifywise_mlflow.connector.endpoints import ReadCall
from verifywise_mlflow.http.auth import FixedHeaders
from verifywise_mlflow.http.client import Transport
from verifywise_mlflow.http.errors import (
    ConnectorError,
    GatewayError,
    ProxyRefusedError,
    RefusedAddressError,
    TooSlowError,
    UnreachableError,
)
from verifywise_mlflow.http.settings import Bounds, ConnectionSettings, ProxySettings
from verifywise_mlflow_tests.http.certificate_authorities import Authority, make_authority
from verifywise_mlflow_tests.http.forward_proxy import forward_proxy
from verifywise_mlflow_tests.http.hostile_server import Asked, HostileServer, answer, hostile_server, serving

PASSWORD = "hunter2-of-the-proxy"
LETS_IN = {"Proxy-Authorization": "Basic YW5uOmh1bnRlcjItb2YtdGhlLXByb3h5"}
USER = f"ann:{PASSWORD}"
TOKEN = "Bearer for-the-server"
QUICK = Bounds(connect_seconds=0.7, request_seconds=0.7, attempts=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path)


def transport_through(
    proxy: str,
    server: str,
    *,
    headers: Callable[[], Mapping[str, str]] = lambda: LETS_IN,
    proxy_at_home: bool = True,
    server_at_home: bool = True,
    authority: Authority | None = None,
) -> Transport:
    return Transport(
        ConnectionSettings(
            server,
            credentials=lambda: FixedHeaders({"Authorization": TOKEN}),
            allow_private_network=server_at_home,
            ca_bundle=authority.certificate if authority else None,
            proxy=ProxySettings(proxy, headers, allow_private_network=proxy_at_home),
            bounds=QUICK,
        )
    )


def error_of(transport: Transport) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        transport.get_json(ReadCall.SEARCH_MODELS)
    transport.close()
    assert PASSWORD not in f"{caught.value!r} {caught.value.__cause__!r}"
    return caught.value


def test_a_plain_request_is_sent_on_and_the_proxys_password_stays_with_the_proxy() -> None:
    with hostile_server(serving(answer('{"a": 1}'))) as server, forward_proxy(USER) as proxy:
        transport = transport_through(proxy.uri, server.uri)

        found = [transport.get_json(ReadCall.SEARCH_MODELS), transport.post_json(ReadCall.SEARCH_RUNS, {"x": "ü"})]

    assert found == [{"a": 1}, {"a": 1}]
    assert [passed.line for passed in proxy.passed] == [
        f"GET {server.uri}/api/2.0/mlflow/registered-models/search HTTP/1.1",
        f"POST {server.uri}/api/2.0/mlflow/runs/search HTTP/1.1",
    ]
    assert [asked.headers["authorization"] for asked in server.asked] == [TOKEN, TOKEN]
    assert server.asked[1].body == b'{"x": "\\u00fc"}'


def test_what_goes_to_an_https_server_is_not_seen_by_the_proxy(authority: Authority) -> None:
    with (
        hostile_server(serving(answer('{"a": 1}')), authority.server_context()) as server,
        forward_proxy(USER) as proxy,
    ):
        transport = transport_through(proxy.uri, server.uri, authority=authority)

        found = [transport.get_json(ReadCall.SEARCH_MODELS) for _ in range(2)]

    assert found == [{"a": 1}, {"a": 1}]
    (passed,) = proxy.passed  # one way, used twice
    assert passed.line.startswith(f"CONNECT 127.0.0.1:{server.port} ")
    assert "authorization" not in passed.headers
    assert [asked.headers.get("proxy-authorization") for asked in server.asked] == [None, None]
    assert [asked.headers["authorization"] for asked in server.asked] == [TOKEN, TOKEN]


def test_a_way_that_the_server_closed_is_opened_anew_through_the_proxy(authority: Authority) -> None:
    def closing(_server: HostileServer, _asked: Asked) -> Iterator[bytes]:
        yield answer('{"a": 1}', headers={"Connection": "close"})

    with hostile_server(closing, authority.server_context()) as server, forward_proxy(USER) as proxy:
        transport = transport_through(proxy.uri, server.uri, authority=authority)

        found = [transport.get_json(ReadCall.SEARCH_MODELS) for _ in range(3)]

    assert found == [{"a": 1}] * 3
    assert [passed.line.split()[0] for passed in proxy.passed] == ["CONNECT"] * 3


def test_a_name_that_only_the_proxy_can_resolve_is_left_to_it(authority: Authority) -> None:
    with hostile_server(serving(answer('{"a": 1}')), authority.server_context()) as server:
        hosts = {"mlflow.example": server.port}
        with forward_proxy(hosts=hosts) as proxy:
            transport = transport_through(
                proxy.uri, "https://mlflow.example", server_at_home=False, authority=authority
            )

            assert transport.get_json(ReadCall.SEARCH_MODELS) == {"a": 1}
            assert server.asked[0].headers["host"] == "mlflow.example"


def test_the_servers_certificate_is_still_the_servers(authority: Authority, tmp_path: Path) -> None:
    other = make_authority(tmp_path, "other")
    with hostile_server(serving(answer()), other.server_context()) as server, forward_proxy() as proxy:
        error = error_of(transport_through(proxy.uri, server.uri, authority=authority))

    assert isinstance(error, UnreachableError)
    assert "certificate verify failed" in str(error)
    assert server.asked == []


REFUSALS = {
    "other credentials": (407, ProxyRefusedError, "Check username and password under proxy"),
    "other credentials, in tinyproxy's words": (401, ProxyRefusedError, "Check username and password under proxy"),
    "a ban": (403, ProxyRefusedError, "Ask its operator to allow it"),
    "nothing behind it": (502, GatewayError, "cannot reach 127.0.0.1"),
    "a redirect": (302, ProxyRefusedError, "302"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_proxy_that_opens_no_way_is_named_with_its_reason_and_without_its_password(
    case: str, authority: Authority
) -> None:
    status, kind, words = REFUSALS[case]
    evil = f"HTTP/1.1 {status} \x1b[31m{'x' * 5_000}\r\nLocation: http://127.0.0.1/\r\n\r\n".encode()
    with hostile_server(serving(answer()), authority.server_context()) as server, forward_proxy(refusal=evil) as proxy:
        error = error_of(transport_through(proxy.uri, server.uri, authority=authority))

    assert type(error) is kind
    assert f"the tenant's proxy 127.0.0.1:{proxy.port}" in str(error)
    assert words in str(error)
    assert str(error).isascii()
    assert "\x1b" not in str(error)
    assert len(str(error)) < 500
    assert server.asked == []


def test_a_proxy_that_does_not_let_us_in_says_so_for_plain_http_too() -> None:
    with hostile_server(serving(answer())) as server, forward_proxy(USER) as proxy:
        error = error_of(transport_through(proxy.uri, server.uri, headers=dict))

    assert isinstance(error, ProxyRefusedError)
    assert f"the tenant's proxy 127.0.0.1:{proxy.port} does not accept us" in str(error)
    assert server.asked == []


@pytest.mark.parametrize(("status", "kind"), [(403, ProxyRefusedError), (503, GatewayError)])
def test_squids_own_refusals_are_not_taken_for_the_servers(status: int, kind: type[ConnectorError]) -> None:
    page = answer("<html>", status, "text/html", {"X-Squid-Error": "ERR_ACCESS_DENIED 0"})
    with forward_proxy(refusal=page) as proxy:
        error = error_of(transport_through(proxy.uri, "http://mlflow.example"))

    assert type(error) is kind
    assert f"the tenant's proxy 127.0.0.1:{proxy.port}" in str(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_named(scheme: str) -> None:
    error = error_of(transport_through("http://127.0.0.1:1", f"{scheme}://mlflow.example"))

    assert isinstance(error, UnreachableError)
    assert "the tenant's proxy 127.0.0.1:1 was not reached: " in str(error)
    assert "refused" in str(error)
    assert "object at 0x" not in str(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_at_a_private_address_needs_a_permission_of_its_own(scheme: str) -> None:
    with forward_proxy() as proxy:
        error = error_of(transport_through(proxy.uri, f"{scheme}://mlflow.example", proxy_at_home=False))

    assert isinstance(error, RefusedAddressError)
    assert "set allow_private_network: true under proxy" in str(error)
    assert proxy.passed == []


WRITTEN_PRIVATE_ADDRESSES = [
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


@pytest.mark.parametrize("host", WRITTEN_PRIVATE_ADDRESSES)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_not_asked_for_an_address_that_is_written_out_and_private(scheme: str, host: str) -> None:
    with forward_proxy() as proxy:
        with pytest.raises(RefusedAddressError, match="allow_private_network: true for the tenant"):
            transport_through(proxy.uri, f"{scheme}://{host}", server_at_home=False)

        assert proxy.passed == []


def drip(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
    yield from server.drip(answer('{"a": "' + "x" * 5_000 + '"}'))


@pytest.mark.parametrize("tls", [False, True])
def test_a_server_that_drips_through_a_proxy_ends_at_the_deadline(tls: bool, authority: Authority) -> None:
    with hostile_server(drip, authority.server_context() if tls else None) as server, forward_proxy() as proxy:
        began = time.monotonic()

        error = error_of(transport_through(proxy.uri, server.uri, authority=authority))

    assert isinstance(error, TooSlowError | UnreachableError)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("opening", [b"", b"HTTP/1.1 200 Go ahead\r\n"])
def test_a_proxy_that_drips_its_answer_to_connect_ends_at_the_deadline(opening: bytes, authority: Authority) -> None:
    def dripping(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
        yield opening
        while not server.hang_up.is_set():
            yield from server.drip(b"X: y\r\n")

    with hostile_server(dripping) as proxy:
        began = time.monotonic()

        error = error_of(transport_through(proxy.uri, "https://mlflow.example", authority=authority))

    assert isinstance(error, UnreachableError)
    assert f"the tenant's proxy 127.0.0.1:{proxy.port}" in str(error)
    assert time.monotonic() - began < 3


def test_the_machines_proxy_and_netrc_have_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("default login thief password thief\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with forward_proxy() as machines, forward_proxy() as tenants, hostile_server(serving(answer("{}"))) as server:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, machines.uri)
            monkeypatch.setenv(name.lower(), machines.uri)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        direct = Transport(ConnectionSettings(server.uri, allow_private_network=True, bounds=QUICK))

        direct.get_json(ReadCall.SEARCH_MODELS)
        transport_through(tenants.uri, server.uri).get_json(ReadCall.SEARCH_MODELS)

    assert (len(machines.passed), len(tenants.passed), len(server.asked)) == (0, 1, 2)
    assert "authorization" not in server.asked[0].headers
