"""How long to go on asking a server that does not answer: for a request, for a connection, and when to let it be.

A request that fails in passing is tried again, after as long as the server asks for or a random pause. Three
purses pay for that: the request's tries, the time since its first one, and what all retries of the connection
have taken. A server that leaves several requests in a row without an answer is let be for a while: whatever is
asked meanwhile fails at once, so that a dead tenant costs seconds.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from verifywise_mlflow.http.errors import (
    ConnectorError,
    GatewayError,
    CircuitOpenError,
    ThrottledError,
    TooSlowError,
    UnauthenticatedError,
    UnreachableError,
)
from verifywise_mlflow.http.settings import Bounds

T = TypeVar("T")

_NO_ANSWER = (UnreachableError, GatewayError, ThrottledError, TooSlowError)
"""A 500 is an answer: the next object may well be readable."""


class Patience:
    """The patience that one connection has with its server. Threads may share it."""

    def __init__(self, bounds: Bounds, host: str) -> None:
        self._bounds = bounds
        self._host = host
        self._lock = threading.Lock()
        self._spent = 0.0
        self._failures = 0
        self._last_words = ""
        self._rests_until = 0.0

    def persist(self, once: Callable[[], T], renew: Callable[[], bool], *, is_whole: bool = True) -> T:
        """Try, again where that can help and as long as the patience lasts; return what a try came to.

        Args:
            once: one try.
            renew: gets new credentials after a 401; returns whether another try may help.
            is_whole: whether a try that ends well has read the answer; else ``to_the_end`` has to see to that.

        Raises:
            ConnectorError: the last try's.
        """
        self.check()
        began = time.monotonic()
        attempt, renewed = 1, False
        while True:
            try_began = time.monotonic()
            try:
                found = once()
            except UnauthenticatedError as error:
                if renewed or not renew():
                    self.gave_up(error)
                    raise
                renewed = True
            except ConnectorError as error:
                now = time.monotonic()
                pause = self.pause(error, attempt=attempt, took=now - began, last_took=now - try_began)
                if pause is None:
                    self.gave_up(error)
                    raise
                attempt += 1
                time.sleep(pause)
            else:
                if is_whole:
                    self.answered()
                return found

    def to_the_end(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass an answer's body on, and take note of whether it came to its end."""
        try:
            yield from chunks
        except ConnectorError as error:
            self.gave_up(error)
            raise
        self.answered()

    def check(self) -> None:
        """Say whether the server may be asked.

        Raises:
            ServerAtRestError: it is being let be. Its words hold no time that is left: they may be kept.
        """
        with self._lock:
            if time.monotonic() < self._rests_until:
                raise CircuitOpenError(
                    f"{self._host} was not asked: {self._failures} requests in a row failed, and it is let be for "
                    f"{self._bounds.rest_seconds:g} seconds (rest_seconds); the last one: {self._last_words}"
                )

    def answered(self) -> None:
        """Take note that the server answers."""
        with self._lock:
            self._failures = 0

    def gave_up(self, error: ConnectorError) -> None:
        """Take note that a request has failed for good."""
        with self._lock:
            if not isinstance(error, _NO_ANSWER):
                self._failures = 0
                return
            self._failures += 1
            self._last_words = str(error)
            if self._failures >= self._bounds.failures_in_a_row:
                self._rests_until = time.monotonic() + self._bounds.rest_seconds

    def pause(self, error: ConnectorError, *, attempt: int, took: float, last_took: float) -> float | None:
        """Return the seconds to wait before the next try; null where there is to be none.

        Args:
            error: what the last try came to.
            attempt: the number of the last try, from 1.
            took: seconds since the first try began.
            last_took: seconds that the last try took.
        """
        if not error.retryable or attempt >= self._bounds.attempts:
            return None
        jitter = random.uniform(0, 0.5 * 2**attempt)  # noqa: S311  # no secret
        pause = jitter if error.retry_after is None else error.retry_after
        with self._lock:
            self._spent += last_took
            # After a rest, one try decides whether the server is back.
            if self._failures >= self._bounds.failures_in_a_row or took + pause > self._bounds.retry_seconds:
                return None
            if self._spent + pause > self._bounds.connection_retry_seconds:
                return None
            self._spent += pause
        return pause
