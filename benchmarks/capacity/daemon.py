"""Dagster's daemon. It submits the runs that ticks request, and launches queued runs. Its threads share one core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil

from benchmarks.capacity.clock import Action, Clock, SharedCore
from benchmarks.capacity.run_queue import RunQueue, SimulatedRun
from benchmarks.capacity.service_times import ServiceTimes
from verifywise_mlflow.instance_settings import integer_setting

Launch = Callable[[SimulatedRun], None]


class Daemon:
    """Moves runs from requests to the queue, and from the queue to the workers."""

    def __init__(self, clock: Clock, queue: RunQueue, times: ServiceTimes, launch: Launch) -> None:
        """Begin with nothing to do."""
        self.core = SharedCore(clock)
        self._clock, self._queue, self._times, self._launch = clock, queue, times, launch
        self._interval = integer_setting(queue.environment, "VERIFYWISE_DEQUEUE_INTERVAL_SECONDS")
        self._is_check_planned = False

    def submit(self, submissions: Sequence[Action], done: Action) -> None:
        """Submit runs one after the other, as the thread of one sensor or schedule does; then call ``done``."""
        self._in_turn(iter(submissions), self._times.submit_cpu, self._times.submit, done)

    def notify(self) -> None:
        """Plan a check of the queue, if none is planned: something was queued, or a slot became free."""
        if not self._is_check_planned and self._queue.length:
            self._is_check_planned = True
            self._clock.at(ceil(self._clock.now / self._interval) * self._interval, self._check)

    def _check(self) -> None:
        read = len(self._queue.started)
        if read < self._queue.max_concurrent_runs:
            read += self._queue.length
        self.core.use(read * self._times.read_run / 1e3, self._launch_startable)

    def _launch_startable(self) -> None:
        startable = self._queue.startable()

        def launch(run: SimulatedRun) -> Action:
            return lambda: self._launch(run)

        def done() -> None:
            self._is_check_planned = False
            if self._queue.startable():
                self._is_check_planned = True
                self._clock.after(self._interval, self._check)

        for run in startable:
            self._queue.start(run)
        self._in_turn(iter([launch(run) for run in startable]), self._times.launch_cpu, self._times.launch, done)

    def _in_turn(self, actions: Iterator[Action], cpu_ms: float, wall_ms: float, done: Action) -> None:
        action = next(actions, None)
        if action is None:
            done()
            return

        def act() -> None:
            action()
            self._in_turn(actions, cpu_ms, wall_ms, done)

        self.core.use(cpu_ms / 1e3, lambda: self._clock.after(max(wall_ms - cpu_ms, 0.0) / 1e3, act))
