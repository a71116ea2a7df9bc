"""Stays below VerifyWise's rate limits, which people at the same address share with us.

Each response states the limit, the remaining requests and the time of the reset (``RateLimit-*``). A part of each limit
is left to others. If the limit resets soon, a request waits until the reset. Otherwise, the request fails with an error
that has ``retry_after``, and the delivery continues later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from verifywise_mlflow.http.errors import RateLimitedError

RESERVED_SHARE: Final = 0.2
"""The part of each limit that is left to people. They use VerifyWise from the same address, behind one proxy."""
MAX_WAIT_SECONDS: Final = 90.0
"""The longest wait. It is longer than the window of most requests, a minute, and shorter than the window of requests
about files, a quarter of an hour."""


class Budget(StrEnum):
    """Requests that a server counts together."""

    FILES = "requests to the file manager"
    METRICS = "metrics"
    OTHERS = "requests"


@dataclass(frozen=True, slots=True)
class _Window:
    left: int
    ends_at: float
    limit: int


class RatePacing:
    """The remaining requests of each budget, according to the server's last response."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        """Start without known limits. ``clock`` returns the seconds of a monotonic clock."""
        self._clock = clock
        self._sleep = sleep
        self._windows: dict[Budget, _Window] = {}

    def wait(self, budget: Budget, needed: int = 1) -> None:
        """Wait until ``needed`` requests may be sent. If ``needed`` is 0, do not wait.

        Raises:
            RateLimitedError: the wait would be too long. Nothing was sent.
        """
        window = self._windows.get(budget)
        if window is None or not needed:
            return
        seconds = window.ends_at - self._clock()
        if seconds > 0 and window.left - needed < window.limit * RESERVED_SHARE:
            reason = f"our share of VerifyWise's limit of {window.limit} {budget} is used up; people need the rest"
            self.pause(seconds, reason)
        if window.ends_at - self._clock() <= 0:
            del self._windows[budget]

    def pause(self, seconds: float, reason: str) -> None:
        """Wait for some seconds, unless this time is too long.

        Raises:
            RateLimitedError: the time is too long. ``retry_after`` states it.
        """
        if seconds > MAX_WAIT_SECONDS:
            error = RateLimitedError(f"{reason}: try again in {math.ceil(seconds / 60)} minutes")
            error.retry_after = seconds
            error.was_sent = False
            raise error
        self._sleep(max(seconds, 0.0))

    def learn(self, budget: Budget, headers: Mapping[str, str]) -> None:
        """Store the limit that the headers of a response state."""
        limit, left, seconds = (_number(headers, f"RateLimit-{name}") for name in ("Limit", "Remaining", "Reset"))
        if limit is not None and left is not None and seconds is not None:
            self._windows[budget] = _Window(left, self._clock() + seconds, limit)


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else None
