"""Connections whose answers have to be complete by a deadline.

A socket's timeout begins anew with each byte. A server that drips its headers, its body or the sizes of its
chunks, a byte a second, would hold a request for as long as it likes; so every single read gets only the
time that is left.
"""

from __future__ import annotations

import http.client
import io
import socket
import time

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse


class _TimedFile(io.RawIOBase):
    def __init__(self, connected: socket.socket) -> None:
        self.began = time.monotonic()
        self._socket = connected
        self._file = connected.makefile("rb", buffering=0)
        self._idle_seconds = connected.gettimeout()
        self.deadline = None if self._idle_seconds is None else self.began + self._idle_seconds

    def readable(self) -> bool:
        return True

    # The base class's annotation is of a protocol that only its stub knows.
    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        if self.deadline is not None and self._idle_seconds is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("the answer's time is up")
            self._socket.settimeout(min(left, self._idle_seconds))
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class TimedResponse(http.client.HTTPResponse):
    """An answer that has as long as the connection's read timeout, from its first header to its last byte."""

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.fp.close()
        self._timed = _TimedFile(sock)
        self.fp = io.BufferedReader(self._timed)

    def allow(self, seconds: float) -> float:
        """Give the whole answer this long, counted from its beginning; return the deadline on the monotonic clock."""
        self._timed.deadline = self._timed.began + seconds
        return self._timed.deadline


class TimedHTTPConnection(HTTPConnection):
    """Reads against a deadline."""

    response_class = TimedResponse


class TimedHTTPSConnection(HTTPSConnection):
    """Reads against a deadline."""

    response_class = TimedResponse


class TimedHTTPConnectionPool(HTTPConnectionPool):
    """Connections that read against a deadline."""

    ConnectionCls = TimedHTTPConnection


class TimedHTTPSConnectionPool(HTTPSConnectionPool):
    """Connections that read against a deadline."""

    ConnectionCls = TimedHTTPSConnection


def allow(response: BaseHTTPResponse, seconds: float) -> float:
    """Give an answer this long, from its first byte; return the deadline on the monotonic clock."""
    timed = getattr(response, "_original_response", None)
    assert isinstance(timed, TimedResponse)
    return timed.allow(seconds)
