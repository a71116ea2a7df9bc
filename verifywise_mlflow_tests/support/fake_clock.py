"""A clock that tests move. Sleeping on it takes no time."""

from __future__ import annotations


class FakeClock:
    """Returns seconds; ``sleep`` adds to them at once."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        self.sleeps.append(seconds)
        self.now += seconds
