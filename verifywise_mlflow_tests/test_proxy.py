"""The proxy forwards and counts requests correctly, since other tests rely on it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead

import pytest
import urllib3
from urllib3.exceptions import ProtocolError

from verifywise_mlflow_tests.support.hostile_server import HostileServer, ReceivedRequest, hostile_server, json_response
from verifywise_mlflow_tests.support.proxy import (
    Fault,
    Proxy,
    always,
    gzip_bomb,
    late,
    once_for_each_kind,
    proxy_before,
    reset_before_response,
    reset_within_response,
    saying,
    truncated,
)


def echo(_server: HostileServer, request: ReceivedRequest) -> bytes:
    return json_response({"target": request.target, "body": request.body.decode(), "key": request.headers.get("x-key")})


@pytest.fixture
def upstream() -> Iterator[HostileServer]:
    with hostile_server(echo) as server:
        yield server


@pytest.fixture
def proxy(upstream: HostileServer) -> Iterator[Proxy]:
    with proxy_before(upstream.uri) as proxy:
        yield proxy


def get(proxy: Proxy, path: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("GET", proxy.uri + path, retries=False, redirect=False)


def test_a_request_arrives_as_it_was_sent_and_is_counted(proxy: Proxy, upstream: HostileServer) -> None:
    response = urllib3.request("POST", f"{proxy.uri}/runs/search?a=%27%20b", body=b"{}", headers={"X-Key": "k"})

    assert response.json() == {"target": "/runs/search?a=%27%20b", "body": "{}", "key": "k"}
    assert (proxy.requests, len(upstream.requests)) == (1, 1)
    (exchange,) = proxy.exchanges
    assert (exchange.method, exchange.path, exchange.query["a"], exchange.body) == (
        "POST",
        "/runs/search",
        ["' b"],
        b"{}",
    )
    assert (exchange.status, exchange.response_bytes) == (200, len(response.data))


def test_concurrent_requests_are_counted(proxy: Proxy) -> None:
    proxy.fault = always(late(0.3))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda number: get(proxy, f"/{number}"), range(3)))

    assert (proxy.requests, proxy.most_at_once) == (3, 3)


def test_each_kind_of_request_fails_once(proxy: Proxy) -> None:
    proxy.fault = once_for_each_kind(saying(503))
    paths = ["/a", "/a", "/logged-models/m-1/files", "/logged-models/m-2/files", "/b"]

    assert [get(proxy, path).status for path in paths] == [503, 200, 503, 200, 503]


def test_an_action_before_a_request_is_done_when_it_arrives(proxy: Proxy, upstream: HostileServer) -> None:
    arrived: list[int] = []
    proxy.before_request = lambda exchange: arrived.append(len(upstream.requests)) if exchange.is_later_page else None

    get(proxy, "/search")
    get(proxy, "/search?page_token=x")

    assert arrived == [1]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (reset_before_response, ConnectionResetError),
        (reset_within_response, ConnectionResetError),
        (truncated, IncompleteRead),
    ],
)
def test_a_response_is_cut_off_as_configured(fault: Fault, error: type[Exception], proxy: Proxy) -> None:
    proxy.fault = always(fault)

    with pytest.raises(ProtocolError) as caught:
        get(proxy, "/a")

    assert isinstance(caught.value, error) or any(isinstance(part, error) for part in caught.value.args)
    assert proxy.exchanges[0].status is None


def test_a_gzip_bomb_is_small_on_the_wire_and_large_after_decompression(proxy: Proxy) -> None:
    proxy.fault = always(gzip_bomb(64 * 1024**2))

    packed = urllib3.request("GET", f"{proxy.uri}/a", decode_content=False).data

    assert len(packed) < 1024**2
    unpacked = zlib.decompressobj(31).decompress(packed)
    assert len(unpacked) > 60 * 1024**2
