"""Serves the application with uvicorn, with limits on the number and the lifetime of connections."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEADER_BYTES: Final = 16 * 1024
MAX_CONNECTIONS: Final = 1_000
"""The number of open connections at which new requests get a 503."""

CONNECTION_S: Final = 30
"""Seconds after which a connection is closed. If a request is in progress, the connection is closed after the response.
Uvicorn itself waits forever for the headers of a connection's first request."""

_IDLE_S: Final = 5
_SHUTDOWN_S: Final = 15
"""Seconds for deliveries in progress after SIGINT or SIGTERM."""


class BoundedConnection(H11Protocol):
    """A connection with a limited lifetime."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin a connection."""
        super().connection_made(transport)
        self._end = self.loop.call_later(CONNECTION_S, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection."""
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.shutdown()


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=1024)


def create_server(app: Starlette) -> uvicorn.Server:
    """Return the server; ``run`` serves on sockets until SIGINT or SIGTERM."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http=BoundedConnection,
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="error",  # a client could fill the log with warnings
            access_log=False,  # paths are secrets
            proxy_headers=False,  # nothing depends on the client's address
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=_SHUTDOWN_S,
        )
    )
