"""Connections whose responses must be complete by a deadline.

A socket's timeout restarts with each byte. A server that sends its headers, its body or its chunk sizes at one byte per
second could stall a request forever. So each single read gets only the time that is left.
"""

from __future__ import annotations

import http.client
import io
import socket
import time

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.response import BaseHTTPResponse

from verifywise_mlflow.http.transmission import ObservedConnection


class _TimedFile(io.RawIOBase):
    """Reads from a socket. All reads together end at the deadline."""

    def __init__(self, connection: socket.socket) -> None:
        self.started = time.monotonic()
        self._socket = connection
        self._file = connection.makefile("rb", buffering=0)
        self._idle_seconds = connection.gettimeout()
        self.deadline = None if self._idle_seconds is None else self.started + self._idle_seconds

    def readable(self) -> bool:
        return True

    # The base class is annotated with a protocol that only its stub defines.
    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        if self.deadline is not None and self._idle_seconds is not None:
            seconds_left = self.deadline - time.monotonic()
            if seconds_left <= 0:
                raise TimeoutError("the response's deadline has passed")
            self._socket.settimeout(min(seconds_left, self._idle_seconds))
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class TimedResponse(http.client.HTTPResponse):
    """A response with a deadline. Its time starts with the wait for the headers. At first, it is the read timeout."""

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.fp.close()
        self._timed = _TimedFile(sock)
        self.fp = io.BufferedReader(self._timed)

    def set_deadline(self, seconds: float) -> float:
        """Set the time for the whole response, counted from its start; return the deadline on the monotonic clock."""
        self._timed.deadline = self._timed.started + seconds
        return self._timed.deadline


class TimedHTTPConnection(ObservedConnection):
    """Reads its responses within a deadline."""

    response_class = TimedResponse


class TimedHTTPSConnection(ObservedConnection, HTTPSConnection):
    """Reads its responses within a deadline."""

    response_class = TimedResponse


class TimedHTTPConnectionPool(HTTPConnectionPool):
    """Connections that read their responses within a deadline."""

    ConnectionCls = TimedHTTPConnection


class TimedHTTPSConnectionPool(HTTPSConnectionPool):
    """Connections that read their responses within a deadline."""

    ConnectionCls = TimedHTTPSConnection


def set_deadline(response: BaseHTTPResponse, seconds: float) -> float:
    """Set the time for a response, counted from its start; return the deadline on the monotonic clock."""
    timed = getattr(response, "_original_response", None)
    assert isinstance(timed, TimedResponse)
    return timed.set_deadline(seconds)
