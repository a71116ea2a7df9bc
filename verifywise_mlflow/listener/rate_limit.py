"""A rate limit. No I/O, and time is an argument."""

from __future__ import annotations


class TokenBucket:
    """Admits up to a number of requests per minute on average. After a quiet minute, it admits this number at once."""

    def __init__(self, per_minute: int, now: float) -> None:
        """Begin with a full bucket.

        Args:
            per_minute: The number of requests per minute.
            now: The time of a monotonic clock, in seconds.
        """
        self.per_minute = per_minute
        self._tokens = float(per_minute)
        self._filled_at = now

    def take(self, now: float) -> float:
        """Admit a request and return 0, or refuse it and return after how many seconds the next would be admitted."""
        per_second = self.per_minute / 60
        self._tokens = min(float(self.per_minute), self._tokens + (now - self._filled_at) * per_second)
        self._filled_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / per_second
        self._tokens -= 1
        return 0
