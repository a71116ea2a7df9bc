"""A server on 127.0.0.1 that sends any bytes a test gives it, including what a real MLflow never sends."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from verifywise_mlflow.http import pools


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as received."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


def make_response(
    body: bytes | str = b"{}",
    status: int = 200,
    content_type: str | None = "application/json",
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> bytes:
    """Return the bytes of a response; ``length`` overrides Content-Length with a false value."""
    content = body.encode() if isinstance(body, str) else body
    lines = {"Content-Length": str(len(content) if length is None else length), **(headers or {})}
    if content_type is not None:
        lines["Content-Type"] = content_type
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} Reason\r\n{head}\r\n".encode() + content


def json_response(value: object, status: int = 200) -> bytes:
    """Return a response with a value as JSON."""
    return make_response(json.dumps(value), status)


@dataclass(slots=True)
class HostileServer:
    """A running server, and the requests that it received."""

    port: int
    scheme: str = "http"
    requests: list[ReceivedRequest] = field(default_factory=list)
    connections: int = 0
    """Accepted connections whose TLS handshake, if there is one, succeeded."""
    is_stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over, which wakes sleeping handlers."""

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
    """Serve the script's bytes, one thread per connection, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HostileServer(listener.getsockname()[1], "https" if tls else "http")
        # A client of an earlier server on this port may still exist. Its limit was adapted to the earlier server.
        pools._limits.pop(("127.0.0.1", server.port), None)
        accepting = threading.Thread(target=_accept, args=(listener, server, script, tls), daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            server.is_stopping.set()
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)


def respond_with(*responses: bytes) -> Callable[[HostileServer, ReceivedRequest], bytes]:
    """Return a script that sends the responses in order, and repeats the last response."""
    remaining = list(responses)
    return lambda _server, _request: remaining.pop(0) if len(remaining) > 1 else remaining[0]


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
        return  # the TLS handshake failed
    server.connections += 1
    with connected, connected.makefile("rb") as lines:
        try:
            while (request := _read_request(lines.readline, lines.read)) is not None:
                server.requests.append(request)
                response = script(server, request)
                for part in [response] if isinstance(response, bytes) else response:
                    connected.sendall(part)
                if not isinstance(response, bytes) or _promises_more(response):
                    return
        except OSError:
            return  # the client closed the connection, as it should


def _promises_more(response: bytes) -> bool:
    """Return whether Content-Length exceeds the body, so that the connection must be closed."""
    head, _, body = response.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    return not lengths or int(lengths[0]) > len(body)


def _read_request(readline: Callable[[], bytes], read_bytes: Callable[[int], bytes]) -> ReceivedRequest | None:
    request_line = readline().decode("latin-1").split()
    if len(request_line) != 3:
        return None
    headers: dict[str, str] = {}
    while (line := readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return ReceivedRequest(
        request_line[0], request_line[1], headers, read_bytes(int(headers.get("content-length", "0")))
    )
