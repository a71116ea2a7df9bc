"""The ticks of sensors and schedules. Threads of the code server evaluate ticks; the daemon submits the requested runs.

Dagster waits a minute for a tick. After that, it discards the tick with the cursor. But the thread that evaluates the
tick continues, and takes its share of the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from math import ceil
from statistics import fmean

from benchmarks.capacity.clock import Action, Clock, SharedCore
from benchmarks.capacity.ticks import TICK_TIMEOUT_SECONDS, TickKind

SENSOR_LOOP_SECONDS = 5.0
"""How often Dagster's daemon looks for sensors that are due."""

Decide = Callable[[], Sequence[Action]]
"""Ends a tick: stores the cursor and returns, for each requested run, a function that submits it."""
Submit = Callable[[Sequence[Action], Action], None]


@dataclass(frozen=True, slots=True)
class Work:
    """The work of evaluating a tick."""

    cpu_seconds: float
    decide: Decide
    wait_seconds: float = 0.0
    """The time of waiting for Postgres between the calculations."""
    least_seconds: float = 0.0
    """The time until the last server has responded. The calculations continue in this time."""


Begin = Callable[[SharedCore], Work]
"""Takes the core on which a tick begins now; returns the tick's work."""


@dataclass(slots=True)
class TickStatistics:
    """The results of the ticks of one sensor or schedule."""

    completed: int = 0
    discarded: int = 0
    seconds: list[float] = field(default_factory=list)
    """The time of each evaluation."""


class CodeServer:
    """Evaluates ticks in one or several processes."""

    def __init__(self, clock: Clock, replicas: int, submit: Submit) -> None:
        """Begin without ticks.

        Args:
            clock: the fake clock.
            replicas: the number of processes, which get the ticks in turn.
            submit: the daemon. It submits runs one after the other, and then calls the second argument.
        """
        self.cores = [SharedCore(clock) for _ in range(replicas)]
        self.statistics: dict[str, TickStatistics] = {}
        self._clock = clock
        self._submit = submit
        self._next_core = cycle(self.cores)

    @property
    def busy_seconds(self) -> float:
        """The mean number of seconds in which a process was busy."""
        return fmean(core.busy_seconds for core in self.cores)

    def add(self, kind: TickKind, begin: Begin) -> None:
        """Start the ticks of a sensor or a schedule."""
        self.statistics[kind.name] = TickStatistics()
        self._clock.after(0.0, lambda: self._tick(kind, begin))

    def _tick(self, kind: TickKind, begin: Begin) -> None:
        began, statistics = self._clock.now, self.statistics[kind.name]
        core = next(self._next_core)
        work = begin(core)
        is_waited_for = True

        def give_up() -> None:
            nonlocal is_waited_for
            if is_waited_for:
                is_waited_for = False
                statistics.discarded += 1
                self._plan(kind, begin, began)

        def complete() -> None:
            nonlocal is_waited_for
            statistics.seconds.append(self._clock.now - began)
            if is_waited_for:
                is_waited_for = False
                statistics.completed += 1
                self._submit(work.decide(), lambda: self._plan(kind, begin, began))

        def wait() -> None:
            self._clock.at(max(self._clock.now + work.wait_seconds, began + work.least_seconds), complete)

        self._clock.after(TICK_TIMEOUT_SECONDS, give_up)
        core.use(work.cpu_seconds, wait)

    def _plan(self, kind: TickKind, begin: Begin, began: float) -> None:
        """Plan the next tick: for a schedule, at its next time; for a sensor, when its interval has passed."""
        if kind.is_schedule:
            next_at = ceil((self._clock.now + 1e-6) / kind.interval) * kind.interval
        else:
            due = max(began + kind.interval, self._clock.now)
            next_at = ceil(due / SENSOR_LOOP_SECONDS - 1e-9) * SENSOR_LOOP_SECONDS
        self._clock.at(next_at, lambda: self._tick(kind, begin))
