"""A fake clock, and a core that several threads share."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
"""The time at which the simulated day begins: midnight on a Monday."""

Action = Callable[[], None]


@dataclass(slots=True)
class Clock:
    """Runs actions in the order of their times. Times are seconds since ``START``."""

    now: float = 0.0
    _events: list[tuple[float, int, Action]] = field(default_factory=list)
    _sequence: int = 0

    @property
    def datetime(self) -> datetime:
        """The current time in the type that the product's functions take."""
        return START + timedelta(seconds=self.now)

    def at(self, time: float, action: Action) -> None:
        """Schedule an action for a given time. Actions of the same time run in the order in which they were added."""
        self._sequence += 1
        heapq.heappush(self._events, (max(time, self.now), self._sequence, action))

    def after(self, seconds: float, action: Action) -> None:
        """Run an action after some seconds."""
        self.at(self.now + seconds, action)

    def run_until(self, end: float) -> None:
        """Run all actions up to a time, which is then the current time."""
        while self._events and self._events[0][0] <= end:
            self.now, _, action = heapq.heappop(self._events)
            action()
        self.now = end


class SharedCore:
    """A core that jobs share evenly. A job is a thread of a Python process; threads hold the interpreter lock in turn.

    Jobs are ordered by the virtual time at which they end, as in fair queueing. The virtual time is the number of
    seconds that a job would get on the core if it were present from the start. A new job delays the other jobs, but it
    does not change the virtual times at which they end.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin idle."""
        self.busy_seconds = 0.0
        """The number of seconds in which there was a job."""
        self._clock = clock
        self._jobs: list[tuple[float, int, Action]] = []
        self._service = 0.0
        """The current virtual time."""
        self._updated_at = 0.0
        self._sequence = 0
        self._expected = 0
        """The number of the latest change. A completion that was planned before this change is ignored."""

    def delay(self, seconds: float) -> float:
        """Return the delay, by the present jobs, of another job that takes this many seconds."""
        self._advance()
        return sum(min(end - self._service, seconds) for end, _, _ in self._jobs)

    def use(self, seconds: float, done: Action) -> None:
        """Add a job that takes this many seconds if it is alone on the core. Run ``done`` when it ends."""
        self._advance()
        self._sequence += 1
        heapq.heappush(self._jobs, (self._service + seconds, self._sequence, done))
        self._plan()

    def _advance(self) -> None:
        elapsed = self._clock.now - self._updated_at
        if self._jobs:
            self._service += elapsed / len(self._jobs)
            self.busy_seconds += elapsed
        self._updated_at = self._clock.now

    def _plan(self) -> None:
        self._expected += 1
        if self._jobs:
            number, remaining = self._expected, (self._jobs[0][0] - self._service) * len(self._jobs)
            self._clock.after(max(remaining, 0.0), lambda: self._complete(number))

    def _complete(self, number: int) -> None:
        if number != self._expected:
            return
        self._advance()
        self._service, _, done = heapq.heappop(self._jobs)
        self._plan()
        done()
