"""A proxy in front of a real MLflow server that counts requests and injects faults chosen by a test.

``proxy.fault`` returns for each request either ``None``, to forward it, or a fault: a function of the ``Line`` between
client and server. ``proxy.before`` is called before each request, so that a test can change the real server between two
pages of a listing.
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
from urllib.parse import parse_qs, urlsplit

import urllib3

from verifywise_mlflow_tests.http.hostile_server import make_response

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "date", "server"}
_IDENTIFIER = re.compile(r"(?<=/logged-models/)m-[^/]+")
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
    """Status of the response; None if the client received no complete one."""
    answer_bytes: int = 0
    """Bytes of the response body, as transferred."""

    @property
    def kind(self) -> str:
        """The path without identifiers: the endpoint."""
        return _IDENTIFIER.sub("{id}", self.path)

    @property
    def is_later_page(self) -> bool:
        """Whether it requests a later page of a listing."""
        return "page_token" in self.query or b'"page_token"' in self.body


@dataclass(frozen=True, slots=True)
class Answer:
    """The response of the real server, with the body as transferred."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def encoded(self) -> bytes:
        """Return the bytes of the response."""
        return make_response(self.body, self.status, content_type=None, headers=self.headers)


class Line:
    """The arguments of a fault: the request, the connection to the server, and that to the client."""

    def __init__(self, exchange: Exchange, proxy: Proxy, connection: socket.socket) -> None:
        self.exchange = exchange
        self.is_open = True
        self._proxy = proxy
        self._connection = connection

    def forward(self) -> Answer:
        """Forward the request to the real server."""
        return self._proxy.ask(self.exchange)

    def reply(self, whole: Answer) -> None:
        """Send a complete response to the client."""
        # Recorded first: the test may check as soon as the client has the response.
        self.exchange.status, self.exchange.answer_bytes = whole.status, len(whole.body)
        self.send([whole.encoded()])

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


Fault: TypeAlias = Callable[[Line], None]
Choice: TypeAlias = Callable[[Exchange], Fault | None]


@dataclass(slots=True, repr=False)
class Proxy:
    """The requests so far, and the fault for the next one."""

    upstream: str
    port: int = 0
    fault: Choice = lambda _: None
    before: Callable[[Exchange], object] = lambda _: None
    exchanges: list[Exchange] = field(default_factory=list)
    most_at_once: int = 0
    """The highest number of requests in flight."""
    is_over: threading.Event = field(default_factory=threading.Event)
    """Set when the test ends. All waits wait for it."""
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

    def asked(self, ending: str) -> list[Exchange]:
        """Return the requests whose path has this ending, e.g. ``runs/search``."""
        return [exchange for exchange in self.exchanges if exchange.path.endswith(ending)]

    def forget(self) -> None:
        """Reset the counters."""
        with self._lock:
            self.exchanges.clear()
            self.most_at_once = 0

    def ask(self, exchange: Exchange) -> Answer:
        """Forward the client's request to the real server."""
        passed = {name: value for name, value in exchange.headers.items() if name not in _HOP_BY_HOP}
        response = self._http.request(
            exchange.method,
            self.upstream + exchange.target,
            body=exchange.body or None,
            headers=passed,
            redirect=False,
            decode_content=False,
        )
        kept = {name: value for name, value in response.headers.items() if name.lower() not in _HOP_BY_HOP}
        return Answer(response.status, kept, response.data)

    def handle(self, method: str, target: str, headers: Mapping[str, str], body: bytes, to: socket.socket) -> bool:
        """Handle one request; return whether the connection stays open."""
        url = urlsplit(target)
        query = parse_qs(url.query, keep_blank_values=True)
        with self._lock:
            exchange = Exchange(len(self.exchanges) + 1, method, target, url.path, query, headers, body)
            self.exchanges.append(exchange)
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            self.before(exchange)
            line = Line(exchange, self, to)
            (self.fault(exchange) or _go_through)(line)
        finally:
            with self._lock:
                self._under_way -= 1
        return line.is_open


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
            """Close without the base class's shutdown, which would precede a reset."""
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


def always(fault: Fault, ending: str = "") -> Choice:
    """Choose a fault for every request whose path has this ending."""
    return lambda exchange: fault if exchange.path.endswith(ending) else None


def once_for_each_kind(fault: Fault, *, sparing: str | None = None) -> Choice:
    """Choose a fault for the first request to each endpoint: the listing of models, the run search, a file …

    Paths that contain ``sparing`` are forwarded.
    """
    seen: set[str] = set()
    lock = threading.Lock()

    def choose(exchange: Exchange) -> Fault | None:
        with lock:
            is_first = exchange.kind not in seen
            seen.add(exchange.kind)
        return fault if is_first and (sparing is None or sparing not in exchange.path) else None

    return choose


# -- faults


def _go_through(line: Line) -> None:
    line.reply(line.forward())


def late(seconds: float) -> Fault:
    """Send the correct response late."""

    def fault(line: Line) -> None:
        whole = line.forward()
        line.wait(seconds)
        line.reply(whole)

    return fault


def silent(line: Line) -> None:
    """Accept the request and never respond."""
    line.wait(3_600)
    line.close()


def reset_before_answer(line: Line) -> None:
    """Disconnect without a response."""
    line.reset()


def reset_within_answer(line: Line) -> None:
    """Reset in the middle of the correct response."""
    whole = line.forward().encoded()
    line.send([whole[: len(whole) // 2]])
    line.wait(0.05)  # a reset discards bytes in transit
    line.reset()


def truncated(line: Line) -> None:
    """Close cleanly after half of the correct response body."""
    whole = line.forward()
    line.send([whole.encoded()[: -(len(whole.body) // 2 + 1)]])
    line.close()


def dripping(pause: float, pieces: int = 20) -> Fault:
    """Send the correct response in this number of pieces, with a pause after each."""

    def fault(line: Line) -> None:
        whole = line.forward().encoded()
        size = max(len(whole) // pieces, 1)
        line.send((whole[start : start + size] for start in range(0, len(whole), size)), pause)

    return fault


def saying(
    status: int,
    body: str = '{"error_code": "INTERNAL_ERROR", "message": "out of order"}',
    content_type: str | None = "application/json",
    **headers: str,
) -> Fault:
    """Respond like this without contacting the server; ``Retry_After`` becomes the header ``Retry-After``."""

    def fault(line: Line) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if content_type is not None:
            named["Content-Type"] = content_type
        line.reply(Answer(status, named, body.encode()))

    return fault


def huge(total_bytes: int) -> Fault:
    """Respond with endless JSON."""

    def fault(line: Line) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {total_bytes}\r\n\r\n"
        line.send([head.encode() + b'{"registered_models": ["'])
        line.send(b"x" * _MEBIBYTE for _ in range(total_bytes // _MEBIBYTE))
        line.close()

    return fault


def gzip_bomb(unpacked_bytes: int) -> Fault:
    """Respond with few bytes that decompress to this many."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = packer.compress(b"{" + b" " * _MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b" " * _MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = first + again * (unpacked_bytes // _MEBIBYTE - 1)

    def fault(line: Line) -> None:
        line.reply(Answer(200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, packed))

    return fault
