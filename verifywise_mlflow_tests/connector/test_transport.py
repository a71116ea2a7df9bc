from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from verifywise_mlflow.connector.credentials import FixedHeaders
from verifywise_mlflow.connector.errors import (
    ArtifactStoreError,
    BoundExceededError,
    ConnectorError,
    ForbiddenError,
    GatewayError,
    NoSuchRouteError,
    NotFoundError,
    ProtocolError,
    RefusedAddressError,
    RejectedError,
    ServerFaultError,
    ThrottledError,
    TooSlowError,
    UnauthenticatedError,
    UnreachableError,
    UnusableSettingsError,
)
from verifywise_mlflow.connector.read_calls import ReadCall
from verifywise_mlflow.connector.settings import Bounds, ConnectionSettings
from verifywise_mlflow.connector.transport import Transport
from verifywise_mlflow_tests.connector.hostile_server import (
    Asked,
    HostileServer,
    answer,
    hostile_server,
    json_answer,
    serving,
)

SECRET = "Basic c2VjcmV0OnNlY3JldA=="
KEY = "gateway-key-5f3a"
QUICK = Bounds(connect_seconds=1, request_seconds=0.6, file_seconds=0.9, attempts=1, answer_bytes=50_000)
PATH = ReadCall.SEARCH_MODELS.path()
MLFLOWS_404 = json_answer({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such thing"}, 404)


def transport_to(uri: str, bounds: Bounds = QUICK) -> Transport:
    return Transport(
        ConnectionSettings(
            uri,
            credentials=lambda: FixedHeaders({"Authorization": SECRET, "X-Gateway-Key": KEY}),
            allow_private_network=True,
            bounds=bounds,
        )
    )


def error_of(transport: Transport) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        transport.get_json(ReadCall.SEARCH_MODELS)
    return caught.value


BAD_ANSWERS = {
    "a login page": (answer("<html>log in</html>", content_type="text/html"), ProtocolError, "'text/html', not JSON"),
    "no content type": (answer(b"{}", content_type=None), ProtocolError, "no content type"),
    "an empty body": (answer(b""), ProtocolError, "an empty body"),
    "a list": (answer("[1]"), ProtocolError, "JSON that is no object"),
    "half an object": (answer('{"a":'), ProtocolError, "no JSON"),
    "a deep nest": (answer("[" * 40_000), BoundExceededError, "depth=64"),
    "a nest that the parser still takes": (
        answer('{"a":' + "[" * 80 + "]" * 80 + "}"),
        BoundExceededError,
        "nested deeper than the depth=64",
    ),
    "no UTF-8": (answer(b'{"a":"\xff"}'), ProtocolError, "no JSON"),
    "an endless number": (answer('{"a":' + "9" * 5_000 + "}"), ProtocolError, "no JSON"),
    "a truncated body": (answer('{"a":1}', length=500), UnreachableError, "127.0.0.1 broke off its answer"),
    "a large body": (answer(b" " * 60_000), BoundExceededError, "50,000 bytes allowed here (answer_bytes)"),
    "a gzip that is none": (
        answer(b"plain", headers={"Content-Encoding": "gzip"}),
        UnreachableError,
        "127.0.0.1 broke off its answer",
    ),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", UnreachableError, "127.0.0.1 did not answer"),
    "nothing at all": (b"", UnreachableError, "127.0.0.1 did not answer"),
    "201": (answer("{}", 201), RejectedError, "201"),
    "400": (json_answer({"error_code": "INVALID_PARAMETER_VALUE", "message": "bad"}, 400), RejectedError, "bad"),
    "401": (answer("You are not authenticated", 401, "text/html"), UnauthenticatedError, "Check the tenant's auth"),
    "403": (answer("Permission denied", 403, "text/html"), ForbiddenError, "Grant the account READ"),
    "403 of the host check": (answer("Invalid Host header", 403, "text/plain"), ForbiddenError, "--allowed-hosts"),
    "404 of MLflow": (MLFLOWS_404, NotFoundError, "RESOURCE_DOES_NOT_EXIST"),
    "404 of a proxy": (answer("<html>", 404, "text/html"), NoSuchRouteError, "Check the tracking URI"),
    "404 with JSON that is not MLflow's": (json_answer({"detail": "Not Found"}, 404), NoSuchRouteError, "prefix"),
    "404 with a list": (json_answer([1], 404), NoSuchRouteError, "prefix"),
    "429": (answer("slow down", 429, "text/plain"), ThrottledError, "429"),
    "500": (answer("oops", 500, "text/html"), ServerFaultError, "500"),
    "502": (answer("oops", 502, "text/html"), GatewayError, "502"),
    "503": (answer("oops", 503, "text/html"), GatewayError, "503"),
    "503 with Retry-After": (
        answer("oops", 503, "text/html", {"Retry-After": "0"}),
        ThrottledError,
        "503",
    ),
    "a redirect": (answer("", 302, headers={"Location": "/elsewhere"}), ProtocolError, "redirect"),
}
PASSING = (UnreachableError, ThrottledError, ServerFaultError, GatewayError)


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_a_bad_answer_raises_what_the_design_says_in_a_sentence_without_secrets(case: str) -> None:
    sent, expected, words = BAD_ANSWERS[case]
    with hostile_server(serving(sent)) as server:
        transport = transport_to(server.uri)

        error = error_of(transport)

    assert type(error) is expected
    assert error.passing is issubclass(expected, PASSING)
    assert words in str(error)
    assert PATH in str(error) or "127.0.0.1" in str(error)
    assert len(str(error)) < 600
    assert transport.traffic.requests == 1
    chain = f"{error!r} {error!s} {error.__cause__!r} {transport!r}"
    assert SECRET not in chain
    assert KEY not in chain


def test_what_the_server_says_is_told_escaped_and_short() -> None:
    evil = "\x1b[31m\u202e" + "x" * 10_000
    with hostile_server(serving(json_answer({"error_code": "A" * 900, "message": evil}, 400))) as server:
        told = str(error_of(transport_to(server.uri)))

    assert told.isascii()
    assert "\x1b" not in told
    assert len(told) < 500


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_takes_no_credentials_along(status: int) -> None:
    with hostile_server(serving(answer())) as thief:
        location = {"Location": f"{thief.uri}/api/2.0/mlflow/registered-models/search"}
        with hostile_server(serving(answer("", status, headers=location))) as server:
            transport = transport_to(server.uri, Bounds(attempts=3, request_seconds=1))

            error = error_of(transport)

        assert isinstance(error, ProtocolError)
        assert len(server.asked) == 1
        assert thief.asked == []


def bomb(_server: HostileServer, _asked: Asked) -> bytes:
    return answer(gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"})


def test_a_gzip_bomb_ends_at_the_bound_for_what_it_unpacks_to() -> None:
    with hostile_server(bomb) as server:
        transport = transport_to(server.uri, Bounds(attempts=1, answer_bytes=100_000))

        error = error_of(transport)

    assert isinstance(error, BoundExceededError)
    assert transport.traffic.bytes_read < 1_000_000


def test_a_gzipped_answer_is_understood() -> None:
    packed = gzip.compress(b'{"a": 1}')
    with hostile_server(serving(answer(packed, headers={"Content-Encoding": "gzip"}))) as server:
        assert transport_to(server.uri).get_json(ReadCall.SEARCH_MODELS) == {"a": 1}


def headers_never_end(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    yield from server.drip(b"X-Slow: 1\r\n" * 50)


def body_drips(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
    yield answer(b"", length=5_000)
    yield from server.drip(b" " * 5_000)


def chunks_drip(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield from server.drip(b"1\r\n \r\n" * 500)


def chunk_size_drips(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield from server.drip(b"0" * 5_000)


def error_drips(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
    yield answer(b"", 400, length=5_000)
    yield from server.drip(b" " * 5_000)


def hangs_before_headers(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
    server.hang()
    yield b""


def hangs_in_body(server: HostileServer, _asked: Asked) -> Iterator[bytes]:
    yield answer(b'{"a"', length=500)
    server.hang()


SLOW: list[tuple[Callable[[HostileServer, Asked], Iterator[bytes]], type[ConnectorError]]] = [
    (hangs_before_headers, UnreachableError),
    (headers_never_end, UnreachableError),
    (hangs_in_body, TooSlowError),
    (body_drips, TooSlowError),
    (chunks_drip, TooSlowError),
    (chunk_size_drips, TooSlowError),
    (error_drips, RejectedError),
]


@pytest.mark.parametrize(("script", "expected"), SLOW)
def test_a_slow_server_holds_a_request_no_longer_than_request_seconds(
    script: Callable[[HostileServer, Asked], Iterator[bytes]], expected: type[ConnectorError]
) -> None:
    with hostile_server(script) as server:
        transport = transport_to(server.uri)
        began = time.monotonic()

        error = error_of(transport)

        assert time.monotonic() - began < QUICK.request_seconds + 0.5
    assert type(error) is expected
    assert "127.0.0.1" in str(error) or PATH in str(error)
    assert ("request_seconds" in str(error)) == (expected is TooSlowError)


def test_a_file_has_file_seconds_and_no_longer() -> None:
    with hostile_server(body_drips) as server:
        transport = transport_to(server.uri)
        began = time.monotonic()

        with (
            pytest.raises(BoundExceededError, match=r"0\.9 seconds allowed here \(file_seconds\)"),
            transport.stream(ReadCall.GET_RUN_ARTIFACT, {}, max_bytes=10_000) as chunks,
        ):
            list(chunks)

        assert QUICK.request_seconds < time.monotonic() - began < QUICK.file_seconds + 0.5


def test_a_file_stream_ends_at_its_bound_whatever_is_sent() -> None:
    with (
        hostile_server(serving(answer(b"x" * 3_000_000, content_type="text/plain"))) as server,
        transport_to(server.uri).stream(ReadCall.GET_RUN_ARTIFACT, {}, max_bytes=300_000) as chunks,
    ):
        content = b"".join(chunks)

    assert content == b"x" * 300_000


@pytest.mark.parametrize("sent", [answer(b"x" * 900_000), answer(b"x" * 900_000, 500), answer(b"[]")])
def test_an_answer_that_was_not_read_to_its_end_does_not_block_the_next_ones(sent: bytes) -> None:
    with hostile_server(serving(*[sent] * 5, answer('{"a": 1}'))) as server:
        transport = transport_to(server.uri)
        for _ in range(5):
            error_of(transport)
        found: list[dict[str, object]] = []

        asking = threading.Thread(target=lambda: found.append(transport.get_json(ReadCall.SEARCH_MODELS)), daemon=True)
        asking.start()
        asking.join(3)

        assert found == [{"a": 1}]


def test_throttling_is_waited_out_as_long_as_the_server_asks_for() -> None:
    busy = answer("", 429, headers={"Retry-After": "1"})
    with hostile_server(serving(busy, answer('{"a": 1}'))) as server:
        transport = transport_to(server.uri, Bounds(attempts=3))
        began = time.monotonic()

        assert transport.get_json(ReadCall.SEARCH_MODELS) == {"a": 1}

    assert 1.0 <= time.monotonic() - began < 2.0
    assert transport.traffic.requests == len(server.asked) == 2


def test_a_wait_beyond_the_budget_is_not_begun() -> None:
    with hostile_server(serving(answer("", 429, headers={"Retry-After": "86400"}))) as server:
        began = time.monotonic()

        error = error_of(transport_to(server.uri, Bounds(attempts=3)))

    assert isinstance(error, ThrottledError)
    assert time.monotonic() - began < 1
    assert len(server.asked) == 1


@pytest.mark.parametrize(("sent", "requests"), [(answer("", 500), 3), (answer("", 400), 1), (MLFLOWS_404, 1)])
def test_a_request_is_sent_again_only_where_that_can_help(sent: bytes, requests: int) -> None:
    with hostile_server(serving(sent)) as server:
        transport = transport_to(server.uri, Bounds(attempts=3))

        error = error_of(transport)

    assert error.passing is (requests > 1)
    assert transport.traffic.requests == len(server.asked) == requests


def test_an_artifact_store_that_the_server_cannot_read_is_asked_once() -> None:
    with hostile_server(serving(answer("no boto3", 500, "text/html"))) as server:
        transport = transport_to(server.uri, Bounds(attempts=3))

        with pytest.raises(ArtifactStoreError, match="artifact store") as raised:
            transport.get_json(ReadCall.LIST_RUN_ARTIFACTS, {"run_id": "r1"})

    assert not raised.value.passing
    assert len(server.asked) == 1


def test_a_fault_that_passes_is_not_an_error() -> None:
    with hostile_server(serving(answer("", 502), b"", answer('{"a": 1}'))) as server:
        assert transport_to(server.uri, Bounds(attempts=3)).get_json(ReadCall.SEARCH_MODELS) == {"a": 1}


def test_a_port_that_nobody_listens_on_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    error = error_of(transport_to(f"http://127.0.0.1:{port}"))

    assert isinstance(error, UnreachableError)
    assert "127.0.0.1" in str(error)
    assert "refused" in str(error)
    assert " at 0x" not in str(error)


@pytest.mark.parametrize("allow_private_network", [True, False])
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64 + ".example"])
def test_a_name_that_does_not_resolve_is_unreachable(host: str, allow_private_network: bool) -> None:
    transport = Transport(
        ConnectionSettings(f"http://{host}", allow_private_network=allow_private_network, bounds=QUICK)
    )

    error = error_of(transport)

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
def test_without_leave_no_private_address_is_contacted(host: str, scheme: str) -> None:
    with hostile_server(serving(answer())) as server:
        transport = Transport(ConnectionSettings(f"{scheme}://{host}:{server.port}", bounds=Bounds(attempts=3)))

        error = error_of(transport)

    assert type(error) is RefusedAddressError
    assert "allow_private_network: true" in str(error)
    assert not error.passing
    assert server.asked == []
    assert transport.traffic.requests == 1


def test_headers_are_sent_as_the_settings_say_and_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with hostile_server(serving(answer())) as proxy, hostile_server(serving(answer())) as server:
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
            credentials=lambda: FixedHeaders({"X-Gateway-Key": KEY}),
            workspace="w1",
            allow_private_network=True,
        )

        Transport(settings).get_json(ReadCall.SEARCH_MODELS, {"filter": "a b&c"})

    assert proxy.asked == []
    (asked,) = server.asked
    assert asked.target == f"/prefix/{PATH}?filter=a%20b%26c"
    assert asked.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "verifywise-mlflow",
        "accept-encoding": "gzip",
        "x-mlflow-workspace": "w1",
        "x-gateway-key": KEY,
    }


def test_a_question_with_a_lone_surrogate_is_sent_all_the_same() -> None:
    with hostile_server(serving(answer())) as server:
        transport = transport_to(server.uri)

        transport.get_json(ReadCall.GET_MODEL, {"name": "a\ud800"})
        transport.post_json(ReadCall.SEARCH_RUNS, {"filter": "a\ud800"})

    assert server.asked[0].target.endswith("name=a%ED%A0%80")
    assert json.loads(server.asked[1].body) == {"filter": "a\ud800"}


@pytest.mark.parametrize("value", ["two\nlines", "two\r\nX-Evil: 1", "nul\0", "euro €", "del\x7f"])
def test_a_secret_that_no_header_can_carry_is_refused_without_being_told(value: str) -> None:
    with pytest.raises(UnusableSettingsError) as caught:
        Transport(ConnectionSettings("http://127.0.0.1", credentials=lambda: FixedHeaders({"X-Gateway-Key": value})))

    assert "X-Gateway-Key" in str(caught.value)
    assert value not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_settings_show_no_header() -> None:
    settings = ConnectionSettings("http://127.0.0.1", credentials=lambda: FixedHeaders({"Authorization": SECRET}))

    assert SECRET not in repr(settings)
    assert "headers" not in repr(settings)


def test_a_tls_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    absent, empty = tmp_path / "absent.pem", tmp_path / "empty.pem"
    empty.touch()

    for settings in (
        ConnectionSettings("https://127.0.0.1", ca_bundle=absent),
        ConnectionSettings("https://127.0.0.1", ca_bundle=empty),
        ConnectionSettings("https://127.0.0.1", client_certificate=absent),
        ConnectionSettings("https://127.0.0.1", client_certificate=empty),
    ):
        with pytest.raises(UnusableSettingsError, match=r"(absent|empty)\.pem cannot be used"):
            Transport(settings)


def test_traffic_counts_requests_and_the_bytes_they_unpack_to() -> None:
    packed = gzip.compress(json.dumps({"a": "x" * 1_000}).encode())
    with hostile_server(serving(answer(packed, headers={"Content-Encoding": "gzip"}))) as server:
        transport = transport_to(server.uri)

        transport.get_json(ReadCall.SEARCH_MODELS)
        transport.get_json(ReadCall.SEARCH_MODELS)

    assert transport.traffic.requests == 2
    assert transport.traffic.bytes_read == 2 * len(json.dumps({"a": "x" * 1_000}))
