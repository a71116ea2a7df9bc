"""A forward proxy on 127.0.0.1: forwards plain HTTP, opens CONNECT tunnels, checks credentials, records requests."""

from __future__ import annotations

import base64
import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from verifywise_mlflow_tests.support.accepting import accepting


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """A request to the proxy, as received."""

    line: str
    headers: Mapping[str, str]
    """By lower-case name."""


@dataclass(slots=True)
class ForwardProxy:
    """A running proxy, its behavior, and the requests that it received."""

    port: int
    user: str | None = None
    """``name:password`` that it requires; null requires none."""
    hosts: dict[str, int] = field(default_factory=dict)
    """Host names that only the proxy resolves, all to this machine, and their ports."""
    refusal: bytes = b""
    """Sent instead of forwarding anything."""
    requests: list[ProxiedRequest] = field(default_factory=list)

    @property
    def uri(self) -> str:
        """The address to give to a client."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def forward_proxy(
    user: str | None = None, hosts: Mapping[str, int] | None = None, refusal: bytes = b""
) -> Iterator[ForwardProxy]:
    """Serve, one thread per connection, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = ForwardProxy(listener.getsockname()[1], user, dict(hosts or {}), refusal)
        with accepting(listener, lambda client: _start_thread(client, proxy)):
            yield proxy


def _start_thread(client: socket.socket, proxy: ForwardProxy) -> None:
    threading.Thread(target=_serve, args=(client, proxy), daemon=True).start()


def _serve(client: socket.socket, proxy: ForwardProxy) -> None:
    with client, client.makefile("rb") as lines, suppress(OSError):
        line = lines.readline().decode("latin-1").strip()
        headers: dict[str, str] = {}
        while (header := lines.readline().decode("latin-1").strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        proxy.requests.append(ProxiedRequest(line, headers))
        body = lines.read(int(headers.get("content-length", "0")))
        if proxy.refusal:
            client.sendall(proxy.refusal)
            return
        if proxy.user and headers.get("proxy-authorization") != _basic(proxy.user):
            client.sendall(b"HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\n\r\n")
            return
        method, target, _ = line.split()
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host = url.hostname or ""
        try:
            server = socket.create_connection(("127.0.0.1", proxy.hosts.get(host) or url.port or 80))
        except OSError:
            client.sendall(b"HTTP/1.1 502 Nobody there\r\nContent-Length: 0\r\n\r\n")
            return
        with server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Go ahead\r\n\r\n")
                threading.Thread(target=_pipe, args=(client, server), daemon=True).start()
                _pipe(server, client)
            else:
                path = url.path + (f"?{url.query}" if url.query else "")
                forwarded = {name: value for name, value in headers.items() if not name.startswith("proxy-")}
                _forward(client, server, method, path, forwarded, body)


def _forward(
    client: socket.socket, server: socket.socket, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> None:
    connection = http.client.HTTPConnection("unused")
    connection.sock = server
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body or None)
    response = connection.getresponse()
    headers_sent = "".join(
        f"{name}: {value}\r\n" for name, value in response.getheaders() if name.lower() != "connection"
    )
    client.sendall(
        f"HTTP/1.1 {response.status} {response.reason}\r\n{headers_sent}Connection: close\r\n\r\n".encode("latin-1")
    )
    while chunk := response.read1(65_536):
        client.sendall(chunk)


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(user.encode()).decode()
