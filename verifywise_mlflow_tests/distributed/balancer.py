"""A load balancer for TCP, like a service of Kubernetes: each connection goes to the next server that accepts it."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from verifywise_mlflow_tests.support.accepting import accepting


@contextmanager
def balancer(ports: Sequence[int]) -> Iterator[int]:
    """Balance over servers on 127.0.0.1 until the block ends; yield the port."""
    turns = itertools.count()

    def connect(client: socket.socket) -> None:
        turn = next(turns)
        for offset in range(len(ports)):
            with suppress(OSError):
                server = socket.create_connection(("127.0.0.1", ports[(turn + offset) % len(ports)]))
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=_copy, args=(source, target), daemon=True).start()
                return
        client.close()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener, accepting(listener, connect):
        yield listener.getsockname()[1]


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
