"""Which servers a client contacts, and what it sends."""

from __future__ import annotations

import gzip
import json
import socket
from pathlib import Path

import pytest

from verifywise_mlflow.connector.endpoints import MlflowEndpoint
from verifywise_mlflow.connector.rest_client import RestClient
from verifywise_mlflow.http.errors import (
    AddressNotAllowedError,
    InvalidSettingsError,
    UnreachableError,
)
from verifywise_mlflow.http.request_auth import StaticHeaders
from verifywise_mlflow.http.settings import ConnectionSettings, Limits
from verifywise_mlflow_tests.connector.rest_clients import (
    BASIC_AUTH,
    GATEWAY_KEY,
    SEARCH_MODELS_PATH,
    SHORT_LIMITS,
    client_for,
    request_error,
)
from verifywise_mlflow_tests.support.hostile_server import (
    hostile_server,
    make_response,
    respond_with,
)


def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    error = request_error(client_for(f"http://127.0.0.1:{port}"))

    assert isinstance(error, UnreachableError)
    assert "127.0.0.1" in str(error)
    assert "refused" in str(error)
    assert " at 0x" not in str(error)


@pytest.mark.parametrize("allow_private_network", [True, False])
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64 + ".example"])
def test_a_name_that_does_not_resolve_is_unreachable(host: str, allow_private_network: bool) -> None:
    client = RestClient(
        ConnectionSettings(f"http://{host}", allow_private_network=allow_private_network, limits=SHORT_LIMITS)
    )

    error = request_error(client)

    assert isinstance(error, UnreachableError)
    assert host in str(error)


PRIVATE = [
    "127.0.0.1",
    "localhost",
    "2130706433",
    "0x7f.1",
    "127.1",
    "0.0.0.0",
    "10.0.0.1",
    "169.254.169.254",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::7f00:1]",
    "[fe80::1]",
    "[fd00::1]",
]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", PRIVATE)
def test_no_private_address_is_contacted_without_permission(host: str, scheme: str) -> None:
    with hostile_server(respond_with(make_response())) as server:
        client = RestClient(ConnectionSettings(f"{scheme}://{host}:{server.port}", limits=Limits(max_attempts=3)))

        error = request_error(client)

    assert type(error) is AddressNotAllowedError
    assert "allow_private_network: true" in str(error)
    assert not error.retryable
    assert server.requests == []
    assert client.traffic.requests == 1


def test_headers_come_from_the_settings_and_nothing_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (
        hostile_server(respond_with(make_response())) as proxy,
        hostile_server(respond_with(make_response())) as server,
    ):
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.uri)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login thief password stolen\ndefault login thief password stolen\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "thief")
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "stolen")
        settings = ConnectionSettings(
            f"{server.uri}/prefix",
            credentials=lambda: StaticHeaders({"X-Gateway-Key": GATEWAY_KEY}),
            workspace="w1",
            allow_private_network=True,
        )

        RestClient(settings).get_json(MlflowEndpoint.SEARCH_MODELS, {"filter": "a b&c"})

    assert proxy.requests == []
    (request,) = server.requests
    assert request.target == f"/prefix/{SEARCH_MODELS_PATH}?filter=a%20b%26c"
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "verifywise-mlflow",
        "accept-encoding": "gzip",
        "x-mlflow-workspace": "w1",
        "x-gateway-key": GATEWAY_KEY,
    }


def test_a_lone_surrogate_is_sent() -> None:
    with hostile_server(respond_with(make_response())) as server:
        client = client_for(server.uri)

        client.get_json(MlflowEndpoint.GET_MODEL, {"name": "a\ud800"})
        client.post_json(MlflowEndpoint.SEARCH_RUNS, {"filter": "a\ud800"})

    assert server.requests[0].target.endswith("name=a%ED%A0%80")
    assert json.loads(server.requests[1].body) == {"filter": "a\ud800"}


@pytest.mark.parametrize("value", ["two\nlines", "two\r\nX-Evil: 1", "nul\0", "euro €", "del\x7f"])
def test_a_secret_that_no_header_can_carry_is_refused_without_quoting_it(value: str) -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        RestClient(ConnectionSettings("http://127.0.0.1", credentials=lambda: StaticHeaders({"X-Gateway-Key": value})))

    assert "X-Gateway-Key" in str(caught.value)
    assert value not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_the_repr_of_settings_shows_no_header() -> None:
    settings = ConnectionSettings("http://127.0.0.1", credentials=lambda: StaticHeaders({"Authorization": BASIC_AUTH}))

    assert BASIC_AUTH not in repr(settings)
    assert "headers" not in repr(settings)


def test_an_unusable_tls_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    missing_file, empty_file = tmp_path / "absent.pem", tmp_path / "empty.pem"
    empty_file.touch()

    for settings in (
        ConnectionSettings("https://127.0.0.1", ca_bundle=missing_file),
        ConnectionSettings("https://127.0.0.1", ca_bundle=empty_file),
        ConnectionSettings("https://127.0.0.1", client_certificate=missing_file),
        ConnectionSettings("https://127.0.0.1", client_certificate=empty_file),
    ):
        with pytest.raises(InvalidSettingsError, match=r"(absent|empty)\.pem cannot be used"):
            RestClient(settings)


def test_traffic_counts_requests_and_decompressed_bytes() -> None:
    compressed = gzip.compress(json.dumps({"a": "x" * 1_000}).encode())
    with hostile_server(respond_with(make_response(compressed, headers={"Content-Encoding": "gzip"}))) as server:
        client = client_for(server.uri)

        client.get_json(MlflowEndpoint.SEARCH_MODELS)
        client.get_json(MlflowEndpoint.SEARCH_MODELS)

    assert client.traffic.requests == 2
    assert client.traffic.bytes_read == 2 * len(json.dumps({"a": "x" * 1_000}))
