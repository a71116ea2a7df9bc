"""The circuit breaker: after several failures in a row, requests fail unsent for a while. A dead server costs seconds.

While the circuit is closed, requests are sent. ``breaker_threshold`` failures open the circuit. While it is open, for
``breaker_open_seconds``, requests fail without being sent. Then the circuit is half-open: requests are sent again
without retries, until a request succeeds or fails. Both settings are among the ``Limits`` in ``settings.py``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from verifywise_mlflow.http.errors import (
    CircuitOpenError,
    GatewayError,
    HttpError,
    RateLimitedError,
    ResponseTimeoutError,
    UnreachableError,
)
from verifywise_mlflow.http.settings import Limits

_COUNTED_FAILURES = (UnreachableError, GatewayError, RateLimitedError, ResponseTimeoutError)
"""The failures that count. A 500 does not count: the server responds, and the next object may be readable."""


class CircuitBreaker:
    """Counts the consecutive failures of one connection. Threads may share an instance."""

    def __init__(self, limits: Limits, server: str, on_open: Callable[[], None] = lambda: None) -> None:
        """Start closed. ``server`` is the server's name in messages. ``on_open`` is called when the circuit opens."""
        self._limits = limits
        self._server = server
        self._on_open = on_open
        self._lock = threading.Lock()
        self._failures = 0
        self._counted_at = float("-inf")
        """When the last failure that counts was recorded."""
        self._last_error = ""
        self._open_until = float("-inf")
        """The time on the monotonic clock until which no request is sent."""

    @property
    def has_tripped(self) -> bool:
        """Whether the circuit is open or half-open."""
        with self._lock:
            return self._failures >= self._limits.breaker_threshold

    def check(self) -> None:
        """Check that a request may be sent.

        Raises:
            CircuitOpenError: the circuit is open. The message names no remaining seconds, since it may be stored.
        """
        with self._lock:
            if time.monotonic() < self._open_until:
                raise CircuitOpenError(
                    f"no request was sent to {self._server}: {self._failures} requests in a row failed, so the circuit "
                    f"breaker is open for {self._limits.breaker_open_seconds:g} seconds (breaker_open_seconds); "
                    f"last error: {self._last_error}"
                )

    def record_success(self) -> None:
        """Close the circuit, also if it is open: a request that was already in flight shows that the server is back."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        self._failures = 0
        self._open_until = float("-inf")

    def record_failure(self, error: HttpError, began_at: float) -> None:
        """Count a request that failed after all retries; open the circuit at ``breaker_threshold``.

        A failure that does not count closes the circuit like a success. But if the request was not sent, its failure
        shows nothing about the server, and changes nothing.

        Requests that are in flight together fail together, such as all eight requests of a sync while a server
        restarts. They count once: a short outage must not open the circuit only because it hit several requests.

        Args:
            error: The failure.
            began_at: When the request's first attempt began, on the monotonic clock.
        """
        with self._lock:
            if not isinstance(error, _COUNTED_FAILURES):
                if error.was_sent:
                    self._close()
                return
            now = time.monotonic()
            if began_at >= self._counted_at:
                self._failures += 1
                self._counted_at = now
            self._last_error = str(error)
            if self._failures >= self._limits.breaker_threshold:
                if now >= self._open_until:
                    self._on_open()
                self._open_until = now + self._limits.breaker_open_seconds

    def watch(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks of a response body, and record whether the body was complete.

        Nothing is recorded for a body whose reader stops before its end.
        """
        began_at = time.monotonic()
        try:
            yield from chunks
        except HttpError as error:
            self.record_failure(error, began_at)
            raise
        self.record_success()
