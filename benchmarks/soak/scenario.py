"""The half-hour, minute by minute: changes, faults and syncs."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

from benchmarks.soak.fleet import SHORT_TIMEOUTS, FleetServer, write_tenants
from benchmarks.soak.memory import ResidentBytes, resident_bytes
from benchmarks.soak.mutations import Mutator
from benchmarks.soak.size import SoakSize
from benchmarks.soak.syncing import SyncOutcome, SyncRequest, prepare, sync

START = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)

ReportProgress = Callable[[str], None]


@dataclass(slots=True)
class Scenario:
    """The running scenario and its results."""

    fleet: Sequence[FleetServer]
    mutator: Mutator
    size: SoakSize
    home: Path
    """Home of Dagster's instance."""
    tenants_file: Path
    pool: ProcessPoolExecutor
    report_progress: ReportProgress
    fault_counts: Counter[str] = field(default_factory=Counter)
    syncs: list[SyncOutcome] = field(default_factory=list)
    """The syncs, in order."""
    unexpected_failures: list[SyncOutcome] = field(default_factory=list)
    memory_by_minute: list[ResidentBytes] = field(default_factory=list)
    """The memory of the processes at the end of each simulated minute."""

    def run(self) -> None:
        """Simulate the minutes, or as many minutes as fit into the allowed seconds."""
        ends = time.monotonic() + self.size.max_seconds
        write_tenants(self.tenants_file, self.fleet, SHORT_TIMEOUTS)
        for minute in range(self.size.minutes):
            if time.monotonic() > ends:
                self.report_progress(f"{self.size.max_seconds:.0f} s are over")
                return
            self._stop_or_start_a_server(minute)
            for server in self.fleet:
                self.fault_counts.update(server.update_faults(minute, self.size.healthy_per_fault, self.mutator.random))
            for _ in range(self.size.changes_per_minute):
                self.mutator.mutate()
            self._sync_due_tenants(minute, self.size.due_in(minute))
            for server in self.fleet:
                server.proxy.forget()  # the proxy's list of requests would grow and count as our memory
            self.memory_by_minute.append(resident_bytes())
            faulty_tenants = sum(len(server.active_faults) for server in self.fleet)
            megabytes = sum(self.memory_by_minute[-1].values()) / 1e6
            self.report_progress(f"minute {minute}: {len(self.syncs)} syncs, {faulty_tenants} ill, {megabytes:.0f} MB")

    def recover(self) -> list[str]:
        """Clear all faults and sync each tenant again; return a sentence for each failure."""
        for server in self.fleet:
            if not server.is_up:
                server.restart()
            server.active_faults.clear()
        time.sleep(SHORT_TIMEOUTS["breaker_open_seconds"])
        # The default limits are used here: on a busy machine, a healthy server may exceed the short timeouts of the
        # soak.
        write_tenants(self.tenants_file, self.fleet, {})
        outcomes = self._sync_due_tenants(
            self.size.minutes + self.size.sync_interval_minutes, lambda _: True, reconcile=True
        )
        return [
            f"{outcome.tenant} could not be synced, and all servers are well: {outcome.failure}"
            for outcome in outcomes
            if outcome.failure
        ]

    def _stop_or_start_a_server(self, minute: int) -> None:
        last = self.fleet[-1]
        if minute == self.size.started_at and not last.is_up:
            last.restart()
        elif minute == self.size.stopped_at and len(self.fleet) > 1:
            last.stop()

    def _sync_due_tenants(
        self, minute: int, is_due: Callable[[int], bool], *, reconcile: bool = False
    ) -> list[SyncOutcome]:
        """Sync the tenants that are due, one per process at a time."""
        due_tenants = [
            (server, tenant) for server in self.fleet for index, tenant in enumerate(server.tenants) if is_due(index)
        ]
        healthy_tenants = {tenant for server, tenant in due_tenants if server.is_healthy(tenant)}
        at = START + timedelta(minutes=minute)
        outcomes = list(
            self.pool.map(sync, [SyncRequest(self.home, tenant, at, reconcile) for _, tenant in due_tenants])
        )
        self.syncs += outcomes
        for outcome in outcomes:
            if outcome.failure and (outcome.tenant in healthy_tenants or not outcome.is_expected):
                self.unexpected_failures.append(outcome)
                self.report_progress(f"{outcome.tenant} is well, and its sync failed: {outcome.failure}")
        return outcomes


@contextmanager
def sync_processes(count: int, home: Path) -> Iterator[ProcessPoolExecutor]:
    """Start worker processes with a fresh interpreter, like a run's process."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        # A worker starts for each task for which there is no idle worker.
        for _ in pool.map(prepare, [home] * count):
            pass
        yield pool


def seeded_random() -> random.Random:
    """Return the random generator, with the same seed for each soak of a size."""
    return random.Random(7)  # noqa: S311  # no secret
