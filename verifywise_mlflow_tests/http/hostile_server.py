"""A server on 127.0.0.1 that answers with whatever bytes a test gives it: what a real MLflow never sends."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it came in."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes


def make_response(
    body: bytes | str = b"{}",
    status: int = 200,
    content_type: str | None = "application/json",
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> bytes:
    """Return an answer's bytes; ``length`` is what Content-Length says if it is to lie."""
    content = body.encode() if isinstance(body, str) else body
    lines = {"Content-Length": str(len(content) if length is None else length), **(headers or {})}
    if content_type is not None:
        lines["Content-Type"] = content_type
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + content


def json_response(value: object, status: int = 200) -> bytes:
    """Return an answer with a value as its JSON."""
    return make_response(json.dumps(value), status)


@dataclass(slots=True)
class HostileServer:
    """What came in, and where it listens."""

    port: int
    scheme: str = "http"
    requests: list[ReceivedRequest] = field(default_factory=list)
    is_stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over; whoever sleeps, sleeps on it."""

    @property
    def uri(self) -> str:
        """The address to give to a client."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def hang(self, seconds: float = 30.0) -> None:
        """Do nothing until the test is over."""
        self.is_stopping.wait(seconds)

    def drip(self, content: bytes, pause: float = 0.05) -> Iterator[bytes]:
        """Yield content a byte at a time."""
        for index in range(len(content)):
            if self.is_stopping.wait(pause):
                return
            yield content[index : index + 1]


@contextmanager
def hostile_server(
    script: Callable[[HostileServer, ReceivedRequest], Iterator[bytes] | bytes], tls: ssl.SSLContext | None = None
) -> Iterator[HostileServer]:
    """Serve the script's bytes, a thread a connection, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HostileServer(listener.getsockname()[1], "https" if tls else "http")
        accepting = threading.Thread(target=_accept, args=(listener, server, script, tls), daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            server.is_stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)


def respond_with(*answers: bytes) -> Callable[[HostileServer, ReceivedRequest], bytes]:
    """Return a script that gives one answer after the other, and the last one for ever."""
    left = list(answers)
    return lambda _server, _asked: left.pop(0) if len(left) > 1 else left[0]


def _accept(
    listener: socket.socket,
    server: HostileServer,
    script: Callable[[HostileServer, ReceivedRequest], Iterator[bytes] | bytes],
    tls: ssl.SSLContext | None,
) -> None:
    while not server.is_stopping.is_set():
        try:
            connected, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connected, server, script, tls), daemon=True).start()


def _serve(
    plain: socket.socket,
    server: HostileServer,
    script: Callable[[HostileServer, ReceivedRequest], Iterator[bytes] | bytes],
    tls: ssl.SSLContext | None,
) -> None:
    try:
        connected = tls.wrap_socket(plain, server_side=True) if tls else plain
    except OSError:
        plain.close()
        return  # no handshake
    with connected, connected.makefile("rb") as lines:
        try:
            while (asked := _read(lines.readline, lines.read)) is not None:
                server.requests.append(asked)
                sent = script(server, asked)
                for part in [sent] if isinstance(sent, bytes) else sent:
                    connected.sendall(part)
                if not isinstance(sent, bytes) or _lies(sent):
                    return
        except OSError:
            return  # the client has hung up, as it should


def _lies(sent: bytes) -> bool:
    """Whether more was promised than was sent, so that the connection has to be closed."""
    head, _, body = sent.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return not lengths or int(lengths[0]) > len(body)


def _read(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> ReceivedRequest | None:
    first = readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while (line := readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return ReceivedRequest(first[0], first[1], headers, read(int(headers.get("content-length", "0"))))
