"""A thread pool with a deadline: probes many servers at once and does not wait for servers that hang.

A tick must end in time, and a thread cannot be stopped. A server that hangs keeps its thread until its socket times
out, and the tick does not wait for it. All ticks share one limit of threads, and a tenant whose probe still hangs is
not probed again. The threads are daemon threads, so they do not delay the end of the process.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class ProbeTimeoutError(Exception):
    """A probe has neither returned nor failed yet."""


@dataclass(frozen=True, slots=True)
class Probe(Generic[T]):
    """A read of one tenant's server."""

    tenant_id: str
    server: str
    """The server. Tenants may share a server; its limit of concurrent probes applies to all these tenants together."""
    send: Callable[[], T]


@dataclass(frozen=True, slots=True)
class ProbeResult(Generic[T]):
    """The outcome of a probe."""

    tenant_id: str
    outcome: T | BaseException
    """What the probe returned or raised."""


class _Batch(Generic[T]):
    """The probes of one tick that have not started."""

    def __init__(self, probes: Sequence[Probe[T]], *, last_start: float) -> None:
        self.last_start = last_start
        """The time on the monotonic clock after which no probe starts, since it might not end within the tick."""
        self.started: set[str] = set()
        self.results: SimpleQueue[ProbeResult[T]] = SimpleQueue()
        self._waiting: dict[str, deque[tuple[int, Probe[T]]]] = {}
        for index, probe in enumerate(probes):
            self._waiting.setdefault(probe.server, deque()).append((index, probe))

    @property
    def has_waiting(self) -> bool:
        """Whether there are probes left to start."""
        return bool(self._waiting)

    def close(self) -> None:
        """Start no more probes."""
        self._waiting.clear()

    def take(self, active_by_server: Mapping[str, int], max_probes_per_server: int) -> Probe[T] | None:
        """Take the first probe whose server is below its limit."""
        available = (server for server in self._waiting if active_by_server.get(server, 0) < max_probes_per_server)
        server = min(available, key=lambda server: self._waiting[server][0][0], default=None)
        if server is None:
            return None
        _, probe = self._waiting[server].popleft()
        if not self._waiting[server]:
            del self._waiting[server]
        self.started.add(probe.tenant_id)
        return probe


class ProbePool:
    """The threads for probes of one sensor, shared by all its ticks in this process."""

    def __init__(self, *, max_probes: int, max_probes_per_server: int) -> None:
        self._max_probes = max_probes
        self._max_probes_per_server = max_probes_per_server
        self._active: dict[str, str] = {}  # tenant -> server
        self._threads = 0
        self._changed = threading.Condition()

    @property
    def thread_count(self) -> int:
        """The number of live threads, including threads that still hang from earlier ticks."""
        return self._threads

    def run(
        self, probes: Sequence[Probe[T]], *, budget_seconds: float, max_probe_seconds: float
    ) -> Iterator[ProbeResult[T]]:
        """Start the probes in their order; yield results as they arrive, within the time budget.

        A probe that could not start in time has no result. A probe that has started and not ended when the budget is
        spent results in ``ProbeTimeoutError``. No probe starts in the last ``max_probe_seconds``, so that such a
        timeout is the server's fault.
        """
        ends_at = time.monotonic() + budget_seconds
        with self._changed:
            hanging = [probe.tenant_id for probe in probes if probe.tenant_id in self._active]
            startable = [probe for probe in probes if probe.tenant_id not in self._active]
            new_threads = min(self._max_probes - self._threads, len(startable))
            self._threads += new_threads
        for tenant_id in hanging:
            yield ProbeResult(tenant_id, ProbeTimeoutError("the request of an earlier tick is still waiting"))
        if not new_threads:
            return
        batch = _Batch(startable, last_start=ends_at - max_probe_seconds)
        for _ in range(new_threads):
            threading.Thread(target=self._work, args=(batch,), daemon=True, name="probe").start()
        try:
            yield from self._results(batch, len(startable), ends_at)
        finally:
            with self._changed:
                batch.close()
                self._changed.notify_all()

    def _results(self, batch: _Batch[T], count: int, ends_at: float) -> Iterator[ProbeResult[T]]:
        returned: set[str] = set()
        while len(returned) < count and (remaining := ends_at - time.monotonic()) > 0:
            if time.monotonic() > batch.last_start and len(returned) == len(batch.started):
                return  # everything that started has ended, and nothing starts any more
            try:
                # Wait in short steps: nothing signals that no further probe can start once the active ones have ended.
                result = batch.results.get(timeout=min(remaining, 0.5))
            except Empty:
                continue
            returned.add(result.tenant_id)
            yield result
        with self._changed:
            batch.close()
            timed_out = sorted(batch.started - returned)
        for tenant_id in timed_out:
            yield ProbeResult(tenant_id, ProbeTimeoutError("no response by the end of the tick"))

    def _work(self, batch: _Batch[T]) -> None:
        try:
            while probe := self._next(batch):
                result: ProbeResult[T]
                try:
                    result = ProbeResult(probe.tenant_id, probe.send())
                except BaseException as error:  # noqa: BLE001  # an error concerns this tenant only: the others go on
                    result = ProbeResult(probe.tenant_id, error)
                with self._changed:
                    del self._active[probe.tenant_id]
                    self._changed.notify()
                batch.results.put(result)
        finally:
            with self._changed:
                self._threads -= 1

    def _next(self, batch: _Batch[T]) -> Probe[T] | None:
        """Take the next probe; wait while the servers of all remaining probes are at their limit."""
        with self._changed:
            while batch.has_waiting and (remaining := batch.last_start - time.monotonic()) > 0:
                if probe := batch.take(Counter(self._active.values()), self._max_probes_per_server):
                    self._active[probe.tenant_id] = probe.server
                    return probe
                self._changed.wait(remaining)
            return None
