"""Reports whether a failed request has left this machine. If not, the server cannot have executed the request.

The error does not show this: the same reset of a connection may end the TLS handshake, the request, or the response.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from urllib3.connection import HTTPConnection


@dataclass(slots=True)
class Transmission:
    """The progress of one request."""

    has_begun: bool = False
    """Whether a part of the request may have been sent. TLS and the request for a tunnel do not count."""


_current: ContextVar[Transmission | None] = ContextVar("_current", default=None)


@contextmanager
def observe_transmission() -> Iterator[Transmission]:
    """Yield the progress of the request that this thread sends within the block."""
    transmission = Transmission()
    token = _current.set(transmission)
    try:
        yield transmission
    finally:
        _current.reset(token)


class ObservedConnection(HTTPConnection):
    """A connection that reports when it begins to send a request."""

    _is_opening = False

    def connect(self) -> None:
        """Open the connection."""
        self._is_opening = True
        try:
            super().connect()
        finally:
            self._is_opening = False

    def send(self, data: object) -> None:
        """Send a part of a request, or of the request for a tunnel."""
        # http.client opens a connection when it first sends. That is too late here.
        if self.sock is None and self.auto_open:
            self.connect()
        transmission = _current.get()
        if transmission is not None and not self._is_opening:
            transmission.has_begun = True
        super().send(data)  # type: ignore[arg-type]  # passed on unchanged
