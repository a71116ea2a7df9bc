"""A TCP proxy that can partition a network. It then accepts and discards every byte, and closes no connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from verifywise_mlflow_tests.support.accepting import accepting


@dataclass(slots=True)
class TcpProxy:
    """Forwards a port of 127.0.0.1 to a server."""

    port: int
    server_port: int
    is_connected: threading.Event = field(default_factory=threading.Event)
    """Cleared during a partition. Bytes of connections that existed then are lost."""
    connections: list[socket.socket] = field(default_factory=list)

    def partition(self) -> None:
        """Discard every byte from now on. Neither side is informed."""
        self.is_connected.clear()

    def heal(self) -> None:
        """Forward again. Connections that lost bytes stay silent."""
        self.connections = []
        self.is_connected.set()


@contextmanager
def tcp_proxy(server_port: int) -> Iterator[TcpProxy]:
    """Forward until the block ends, with two threads for each connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        proxy = TcpProxy(listener.getsockname()[1], server_port)
        proxy.is_connected.set()
        with accepting(listener, lambda client: _connect(client, proxy)):
            yield proxy


def _connect(client: socket.socket, proxy: TcpProxy) -> None:
    if not proxy.is_connected.is_set():
        proxy.connections.append(client)  # the connection stays open, and nobody responds
        return
    server = socket.create_connection(("127.0.0.1", proxy.server_port))
    partitioned = threading.Event()
    for source, target in ((client, server), (server, client)):
        threading.Thread(target=_forward, args=(source, target, proxy, partitioned), daemon=True).start()


def _forward(source: socket.socket, target: socket.socket, proxy: TcpProxy, partitioned: threading.Event) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            if not proxy.is_connected.is_set():
                partitioned.set()
            if not partitioned.is_set():
                target.sendall(data)
        if not proxy.is_connected.is_set():
            partitioned.set()
    if not partitioned.is_set():
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
