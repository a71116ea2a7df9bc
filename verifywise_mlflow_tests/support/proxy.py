"""A proxy in front of a real MLflow server that counts requests and injects faults chosen by a test.

``proxy.fault`` returns for each request either ``None``, to forward it, or a fault: a function of a ``FaultContext``.
``proxy.before_request`` is called before each request, so that a test can change the real server between two pages of
a listing.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import urllib3

from verifywise_mlflow_tests.support.hostile_server import make_response

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "date", "server"}
_IDENTIFIER = re.compile(r"(?<=/logged-models/)m-[^/]+")
_SERVED_FILE = re.compile(r"(?<=/mlflow-artifacts/artifacts/).+")
LISTING_ENDPOINTS = ("/artifacts/list", "/artifacts/directories", "/mlflow-artifacts/artifacts")
"""The endpoints that list a folder: of a run, of a logged model, of the server's own store."""
FILE_ENDPOINTS = ("/get-artifact", "/artifacts/files", "/mlflow-artifacts/artifacts/{path}")
"""The endpoints that serve a file of a run, of a logged model, or of the server's own store."""
_MEBIBYTE = 1024**2


@dataclass(slots=True, eq=False)
class Exchange:
    """A received request and its outcome."""

    number: int
    """Counts from 1, in the order of arrival."""
    method: str
    target: str
    """Path and query, as received."""
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    """Headers by lower-case name."""
    body: bytes
    status: int | None = None
    """Status of the response; None if the client received no complete response."""
    response_bytes: int = 0
    """Bytes of the response body, as transferred."""

    @property
    def kind(self) -> str:
        """The path without identifiers: the endpoint."""
        return _SERVED_FILE.sub("{path}", _IDENTIFIER.sub("{id}", self.path))

    @property
    def artifact(self) -> str:
        """The requested file or folder, by any route."""
        for name in ("path", "artifact_file_path", "artifact_directory_path"):
            if name in self.query:
                return self.query[name][0]
        return unquote(self.path.partition("/mlflow-artifacts/artifacts/")[2])

    @property
    def is_later_page(self) -> bool:
        """Whether it requests a later page of a listing."""
        return "page_token" in self.query or b'"page_token"' in self.body


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """The response of the real server, with the body as transferred."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def encoded(self) -> bytes:
        """Return the bytes of the response."""
        return make_response(self.body, self.status, content_type=None, headers=self.headers)


class FaultContext:
    """The arguments of a fault: the request, the connection to the server, and the connection to the client."""

    def __init__(self, exchange: Exchange, proxy: Proxy, connection: socket.socket) -> None:
        self.exchange = exchange
        self.is_open = True
        self._proxy = proxy
        self._connection = connection

    def forward(self) -> UpstreamResponse:
        """Forward the request to the real server."""
        return self._proxy.forward(self.exchange)

    def reply(self, response: UpstreamResponse) -> None:
        """Send a complete response to the client."""
        # Recorded first: the test may check as soon as the client has the response.
        self.exchange.status, self.exchange.response_bytes = response.status, len(response.body)
        self.send([response.encoded()])

    def send(self, pieces: Iterable[bytes], pause: float = 0.0) -> None:
        """Send bytes to the client, with a pause after each piece, until it disconnects or the test ends."""
        for piece in pieces:
            self._connection.sendall(piece)
            if pause:
                self.wait(pause)
            if self._proxy.is_over.is_set():
                return

    def wait(self, seconds: float) -> None:
        """Wait for some seconds, or until the test ends."""
        self._proxy.is_over.wait(seconds)

    def close(self) -> None:
        """Close the connection to the client after this."""
        self.is_open = False

    def reset(self) -> None:
        """Reset the connection to the client, like a crashed server or a firewall."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


Fault: TypeAlias = Callable[[FaultContext], None]
Choice: TypeAlias = Callable[[Exchange], Fault | None]


@dataclass(slots=True, repr=False)
class Proxy:
    """The requests so far, and the fault for the next one."""

    upstream: str
    port: int = 0
    fault: Choice = lambda _: None
    before_request: Callable[[Exchange], object] = lambda _: None
    exchanges: list[Exchange] = field(default_factory=list)
    most_at_once: int = 0
    """The highest number of requests in flight."""
    is_over: threading.Event = field(default_factory=threading.Event)
    """Set when the test ends. It ends all waits."""
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, maxsize=8))

    @property
    def uri(self) -> str:
        """The proxy's address, for the client."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> int:
        """The number of requests."""
        return len(self.exchanges)

    def requests_ending_with(self, ending: str | tuple[str, ...]) -> list[Exchange]:
        """Return the requests to the endpoints with one of these endings, such as ``runs/search``."""
        return [exchange for exchange in self.exchanges if exchange.kind.endswith(ending)]

    def forget(self) -> None:
        """Reset the counters."""
        with self._lock:
            self.exchanges.clear()
            self.most_at_once = 0

    def forward(self, exchange: Exchange) -> UpstreamResponse:
        """Forward the client's request to the real server."""
        forwarded_headers = {name: value for name, value in exchange.headers.items() if name not in _HOP_BY_HOP}
        response = self._http.request(
            exchange.method,
            self.upstream + exchange.target,
            body=exchange.body or None,
            headers=forwarded_headers,
            redirect=False,
            decode_content=False,
        )
        end_to_end_headers = {
            name: value for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        return UpstreamResponse(response.status, end_to_end_headers, response.data)

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes, client: socket.socket) -> bool:
        """Handle one request; return whether the connection stays open."""
        url = urlsplit(target)
        query = parse_qs(url.query, keep_blank_values=True)
        with self._lock:
            exchange = Exchange(len(self.exchanges) + 1, method, target, url.path, query, headers, body)
            self.exchanges.append(exchange)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            self.before_request(exchange)
            context = FaultContext(exchange, self, client)
            (self.fault(exchange) or _go_through)(context)
        finally:
            with self._lock:
                self._under_way -= 1
        return context.is_open


@contextmanager
def proxy_before(upstream: str) -> Iterator[Proxy]:
    """Serve on a free port of 127.0.0.1 in front of a server, until the block ends."""
    proxy = Proxy(upstream.rstrip("/"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                is_open = proxy.handle(self.command, self.path, headers, body, self.connection)
            except OSError:
                is_open = False  # the client disconnected, as expected
            self.close_connection = self.close_connection or not is_open

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """Do not log requests."""

    class Server(ThreadingHTTPServer):
        def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
            """Close without the base class's shutdown, which the client would receive before a reset."""
            assert isinstance(request, socket.socket)
            self.close_request(request)

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy.port = server.server_address[1]
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        serving.start()
        try:
            yield proxy
        finally:
            proxy.is_over.set()
            server.shutdown()
            serving.join(5)


# -- selecting requests


def always(fault: Fault, ending: str | tuple[str, ...] = "") -> Choice:
    """Choose a fault for every request to the endpoints with one of these endings."""
    return lambda exchange: fault if exchange.kind.endswith(ending) else None


def once_for_each_kind(fault: Fault, *, sparing: str | None = None) -> Choice:
    """Choose a fault for the first request to each endpoint, such as the listing of models, the run search or a file.

    Requests whose path contains ``sparing`` are forwarded.
    """
    seen_kinds: set[str] = set()
    lock = threading.Lock()

    def choose(exchange: Exchange) -> Fault | None:
        with lock:
            is_first = exchange.kind not in seen_kinds
            seen_kinds.add(exchange.kind)
        return fault if is_first and (sparing is None or sparing not in exchange.path) else None

    return choose


# -- faults


def _go_through(context: FaultContext) -> None:
    context.reply(context.forward())


def late(seconds: float) -> Fault:
    """Send the correct response late."""

    def fault(context: FaultContext) -> None:
        response = context.forward()
        context.wait(seconds)
        context.reply(response)

    return fault


def silent(context: FaultContext) -> None:
    """Accept the request and never respond."""
    context.wait(3_600)
    context.close()


def reset_before_response(context: FaultContext) -> None:
    """Disconnect without a response."""
    context.reset()


def reset_within_response(context: FaultContext) -> None:
    """Reset in the middle of the correct response."""
    response = context.forward().encoded()
    context.send([response[: len(response) // 2]])
    context.wait(0.05)  # a reset discards bytes in transit
    context.reset()


def truncated(context: FaultContext) -> None:
    """Close cleanly after half of the correct response body."""
    response = context.forward()
    context.send([response.encoded()[: -(len(response.body) // 2 + 1)]])
    context.close()


def dripping(pause: float, pieces: int = 20) -> Fault:
    """Send the correct response in this number of pieces, with a pause after each."""

    def fault(context: FaultContext) -> None:
        response = context.forward().encoded()
        size = max(len(response) // pieces, 1)
        context.send((response[start : start + size] for start in range(0, len(response), size)), pause)

    return fault


def saying(
    status: int,
    body: str = '{"error_code": "INTERNAL_ERROR", "message": "out of order"}',
    content_type: str | None = "application/json",
    **headers: str,
) -> Fault:
    """Send this response without contacting the server; ``Retry_After`` becomes the header ``Retry-After``."""

    def fault(context: FaultContext) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if content_type is not None:
            named["Content-Type"] = content_type
        context.reply(UpstreamResponse(status, named, body.encode()))

    return fault


def huge(total_bytes: int) -> Fault:
    """Respond with endless JSON."""

    def fault(context: FaultContext) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {total_bytes}\r\n\r\n"
        context.send([head.encode() + b'{"registered_models": ["'])
        context.send(b"x" * _MEBIBYTE for _ in range(total_bytes // _MEBIBYTE))
        context.close()

    return fault


def gzip_bomb(unpacked_bytes: int) -> Fault:
    """Respond with few bytes that decompress to this number of bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first_chunk = packer.compress(b"{" + b" " * _MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    repeated_chunk = packer.compress(b" " * _MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = first_chunk + repeated_chunk * (unpacked_bytes // _MEBIBYTE - 1)

    def fault(context: FaultContext) -> None:
        context.reply(UpstreamResponse(200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, packed))

    return fault
