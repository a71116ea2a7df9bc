"""A proxy in front of a real MLflow server: it counts what is asked, and spoils the answers that a test picks.

``proxy.fault`` decides for each request whether it goes through (``None``) or what happens to it instead; a fault is
a function of the ``Line`` between client and server. ``proxy.before`` is called ahead of each request, so that a test
can change the real server between two pages of a listing.
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

from verifywise_mlflow_tests.http.hostile_server import answer

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "date", "server"}
_IDENTIFIER = re.compile(r"(?<=/logged-models/)m-[^/]+")
_MEBIBYTE = 1024**2


@dataclass(slots=True, eq=False)
class Exchange:
    """A request as it came in, and what became of it."""

    number: int
    """From 1, in the order in which requests came in."""
    method: str
    target: str
    """Path and query, as they stood in the request."""
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes
    status: int | None = None
    """Of the answer; none where the client got no whole one."""
    answer_bytes: int = 0
    """Of the answer's body, as it went over the line."""

    @property
    def kind(self) -> str:
        """The path without identifiers: what is asked for, not about what."""
        return _IDENTIFIER.sub("{id}", self.path)

    @property
    def is_later_page(self) -> bool:
        """Whether it goes on with a listing."""
        return "page_token" in self.query or b'"page_token"' in self.body


@dataclass(frozen=True, slots=True)
class Answer:
    """What the real server said; the body is as it went over the line."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def encoded(self) -> bytes:
        """Return the answer's bytes."""
        return answer(self.body, self.status, content_type=None, headers=self.headers)


class Line:
    """What a fault has in its hands: the request, the way to the server, and the way back to the client."""

    def __init__(self, exchange: Exchange, proxy: Proxy, connection: socket.socket) -> None:
        self.exchange = exchange
        self.is_open = True
        self._proxy = proxy
        self._connection = connection

    def forward(self) -> Answer:
        """Ask the real server."""
        return self._proxy.ask(self.exchange)

    def reply(self, whole: Answer) -> None:
        """Send a whole answer to the client."""
        # Noted first: the client may look as soon as it has the answer.
        self.exchange.status, self.exchange.answer_bytes = whole.status, len(whole.body)
        self.send([whole.encoded()])

    def send(self, pieces: Iterable[bytes], pause: float = 0.0) -> None:
        """Send bytes to the client, with a pause after each piece, until it hangs up or the test is over."""
        for piece in pieces:
            self._connection.sendall(piece)
            if pause:
                self.wait(pause)
            if self._proxy.is_over.is_set():
                return

    def wait(self, seconds: float) -> None:
        """Do nothing for a while, or until the test is over."""
        self._proxy.is_over.wait(seconds)

    def close(self) -> None:
        """Close the connection to the client after this."""
        self.is_open = False

    def reset(self) -> None:
        """Break the connection to the client off, as a crashed server or a firewall does."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


Fault: TypeAlias = Callable[[Line], None]
Choice: TypeAlias = Callable[[Exchange], Fault | None]


@dataclass(slots=True, repr=False)
class Proxy:
    """What came in so far, and what is to happen to the next request."""

    upstream: str
    port: int = 0
    fault: Choice = lambda _: None
    before: Callable[[Exchange], object] = lambda _: None
    exchanges: list[Exchange] = field(default_factory=list)
    most_at_once: int = 0
    """The highest number of requests that were under way at a time."""
    is_over: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over: whoever sleeps, sleeps on it."""
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, maxsize=8))

    @property
    def uri(self) -> str:
        """The address to give to a client instead of the server's."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> int:
        """How many requests came in."""
        return len(self.exchanges)

    def asked(self, ending: str) -> list[Exchange]:
        """Return the requests whose path ends so, e.g. ``runs/search``."""
        return [exchange for exchange in self.exchanges if exchange.path.endswith(ending)]

    def forget(self) -> None:
        """Count from zero again."""
        with self._lock:
            self.exchanges.clear()
            self.most_at_once = 0

    def ask(self, exchange: Exchange) -> Answer:
        """Ask the real server what the client asked."""
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
        """Deal with one request; return whether the connection stays open."""
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
    """Serve on a free port of 127.0.0.1 in front of a server's address, until the block ends."""
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
                is_open = False  # the client has hung up, as it should
            self.close_connection = self.close_connection or not is_open

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
            """The tests' own output is enough."""

    class Server(ThreadingHTTPServer):
        def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
            """Close without the goodbye of the base class, which would come before a reset."""
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


# -- which requests are spoilt


def always(fault: Fault, ending: str = "") -> Choice:
    """Choose a fault for every request whose path ends so."""
    return lambda exchange: fault if exchange.path.endswith(ending) else None


def once_for_each_kind(fault: Fault, *, sparing: str | None = None) -> Choice:
    """Choose a fault for the first request of each kind: the listing of models, the search for runs, a file …

    Paths with ``sparing`` in them go through.
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
    """Answer rightly, but late."""

    def fault(line: Line) -> None:
        whole = line.forward()
        line.wait(seconds)
        line.reply(whole)

    return fault


def silent(line: Line) -> None:
    """Take the request and never answer."""
    line.wait(3_600)
    line.close()


def reset_before_answer(line: Line) -> None:
    """Break off without a word."""
    line.reset()


def reset_within_answer(line: Line) -> None:
    """Break off in the middle of the right answer."""
    whole = line.forward().encoded()
    line.send([whole[: len(whole) // 2]])
    line.wait(0.05)  # a reset overtakes what is still on its way
    line.reset()


def truncated(line: Line) -> None:
    """Close in good order after half of the right answer's body."""
    whole = line.forward()
    line.send([whole.encoded()[: -(len(whole.body) // 2 + 1)]])
    line.close()


def dripping(pause: float, pieces: int = 20) -> Fault:
    """Send the right answer in so many pieces, with a pause after each."""

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
    """Answer so without asking the server; ``Retry_After`` becomes the header ``Retry-After``."""

    def fault(line: Line) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if content_type is not None:
            named["Content-Type"] = content_type
        line.reply(Answer(status, named, body.encode()))

    return fault


def huge(total_bytes: int) -> Fault:
    """Answer with a JSON text that goes on and on."""

    def fault(line: Line) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {total_bytes}\r\n\r\n"
        line.send([head.encode() + b'{"registered_models": ["'])
        line.send(b"x" * _MEBIBYTE for _ in range(total_bytes // _MEBIBYTE))
        line.close()

    return fault


def gzip_bomb(unpacked_bytes: int) -> Fault:
    """Answer with few bytes that unpack to so many."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = packer.compress(b"{" + b" " * _MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b" " * _MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = first + again * (unpacked_bytes // _MEBIBYTE - 1)

    def fault(line: Line) -> None:
        line.reply(Answer(200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, packed))

    return fault
