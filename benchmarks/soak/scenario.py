"""The half-hour, minute by minute: what changes, who falls ill, who is synced."""

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
    """What goes on, and what came of it."""

    fleet: Sequence[FleetServer]
    mutator: Mutator
    size: SoakSize
    home: Path
    """Of Dagster's instance."""
    tenants_file: Path
    pool: ProcessPoolExecutor
    tell: ReportProgress
    fault_counts: Counter[str] = field(default_factory=Counter)
    syncs: list[SyncOutcome] = field(default_factory=list)
    """In their order."""
    unexpected_failures: list[SyncOutcome] = field(default_factory=list)
    memory_by_minute: list[ResidentBytes] = field(default_factory=list)
    """What the processes held at the end of each minute that was lived through."""

    def run(self) -> None:
        """Live through the minutes, or through as many of them as there are seconds for."""
        ends = time.monotonic() + self.size.max_seconds
        write_tenants(self.tenants_file, self.fleet, SHORT_TIMEOUTS)
        for minute in range(self.size.minutes):
            if time.monotonic() > ends:
                self.tell(f"{self.size.max_seconds:.0f} s are over")
                return
            self._stop_or_start_a_server(minute)
            for estate in self.fleet:
                self.fault_counts.update(estate.update_faults(minute, self.size.healthy_per_fault, self.mutator.random))
            for _ in range(self.size.changes_per_minute):
                self.mutator.mutate()
            self._turn(minute, self.size.due_in(minute))
            for estate in self.fleet:
                estate.proxy.forget()  # its list of requests would grow, and be taken for our memory
            self.memory_by_minute.append(resident_bytes())
            ill = sum(len(estate.active_faults) for estate in self.fleet)
            megabytes = sum(self.memory_by_minute[-1].values()) / 1e6
            self.tell(f"minute {minute}: {len(self.syncs)} syncs, {ill} ill, {megabytes:.0f} MB")

    def recover(self) -> list[str]:
        """Let all servers be well, and sync each tenant once more; return a sentence for each that cannot be."""
        for estate in self.fleet:
            if not estate.is_up:
                estate.restart()
            estate.active_faults.clear()
        time.sleep(SHORT_TIMEOUTS["breaker_open_seconds"])
        # The default bounds: on a busy machine a living server may take longer than the impatient ones allow.
        write_tenants(self.tenants_file, self.fleet, {})
        done = self._turn(self.size.minutes + self.size.sync_interval_minutes, lambda _: True, reconcile=True)
        return [
            f"{one.tenant} could not be synced, and all servers are well: {one.failure}" for one in done if one.failure
        ]

    def _stop_or_start_a_server(self, minute: int) -> None:
        last = self.fleet[-1]
        if minute == self.size.started_at and not last.is_up:
            last.restart()
        elif minute == self.size.stopped_at and len(self.fleet) > 1:
            last.stop()

    def _turn(self, minute: int, is_due: Callable[[int], bool], *, reconcile: bool = False) -> list[SyncOutcome]:
        """Sync those whose turn it is, as many at a time as there are processes."""
        due = [
            (estate, tenant) for estate in self.fleet for place, tenant in enumerate(estate.tenants) if is_due(place)
        ]
        well = {tenant for estate, tenant in due if estate.is_healthy(tenant)}
        at = START + timedelta(minutes=minute)
        done = list(self.pool.map(sync, [SyncRequest(self.home, tenant, at, reconcile) for _, tenant in due]))
        self.syncs += done
        for one in done:
            if one.failure and (one.tenant in well or not one.is_expected):
                self.unexpected_failures.append(one)
                self.tell(f"{one.tenant} is well, and its sync failed: {one.failure}")
        return done


@contextmanager
def sync_processes(count: int, home: Path) -> Iterator[ProcessPoolExecutor]:
    """Open processes to sync in; they begin with nothing, as a run's process does."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        # One is started for each that is asked for while no other is idle.
        for _ in pool.map(prepare, [home] * count):
            pass
        yield pool


def seeded_random() -> random.Random:
    """Return what happens by chance, which is the same in each soak of a size."""
    return random.Random(7)  # noqa: S311  # no secret
