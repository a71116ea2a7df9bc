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

from benchmarks.soak.fleet import IMPATIENT, Estate, write_tenants
from benchmarks.soak.memory import Held, held
from benchmarks.soak.mutations import People
from benchmarks.soak.size import Size
from benchmarks.soak.syncing import Asked, Done, prepare, sync

BEGIN = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)

Tell = Callable[[str], None]


@dataclass(slots=True)
class Life:
    """What goes on, and what came of it."""

    estates: Sequence[Estate]
    people: People
    size: Size
    home: Path
    """Of Dagster's instance."""
    tenants_file: Path
    pool: ProcessPoolExecutor
    tell: Tell
    illnesses: Counter[str] = field(default_factory=Counter)
    syncs: list[Done] = field(default_factory=list)
    """In their order."""
    failed_though_well: list[Done] = field(default_factory=list)
    minutes: list[Held] = field(default_factory=list)
    """What the processes held at the end of each minute that was lived through."""

    def live(self) -> None:
        """Live through the minutes, or through as many of them as there are seconds for."""
        ends = time.monotonic() + self.size.seconds_at_most
        write_tenants(self.tenants_file, self.estates, IMPATIENT)
        for minute in range(self.size.minutes):
            if time.monotonic() > ends:
                self.tell(f"{self.size.seconds_at_most:.0f} s are over")
                return
            self._stop_or_start_a_server(minute)
            for estate in self.estates:
                self.illnesses.update(estate.fall_ill_and_recover(minute, self.size.one_in, self.people.chance))
            for _ in range(self.size.changes):
                self.people.change_something()
            self._turn(minute, self.size.due_in(minute))
            for estate in self.estates:
                estate.proxy.forget()  # its list of requests would grow, and be taken for our memory
            self.minutes.append(held())
            ill = sum(len(estate.ill) for estate in self.estates)
            megabytes = sum(self.minutes[-1].values()) / 1e6
            self.tell(f"minute {minute}: {len(self.syncs)} syncs, {ill} ill, {megabytes:.0f} MB")

    def recover(self) -> list[str]:
        """Let all servers be well, and sync each tenant once more; return a sentence for each that cannot be."""
        for estate in self.estates:
            if not estate.is_up:
                estate.start_again()
            estate.ill.clear()
        time.sleep(IMPATIENT["breaker_open_seconds"])
        # The default bounds: on a busy machine a living server may take longer than the impatient ones allow.
        write_tenants(self.tenants_file, self.estates, {})
        done = self._turn(self.size.minutes + self.size.turn, lambda _: True, reconcile=True)
        return [
            f"{one.tenant} could not be synced, and all servers are well: {one.failure}" for one in done if one.failure
        ]

    def _stop_or_start_a_server(self, minute: int) -> None:
        last = self.estates[-1]
        if minute == self.size.started_at and not last.is_up:
            last.start_again()
        elif minute == self.size.stopped_at and len(self.estates) > 1:
            last.stop()

    def _turn(self, minute: int, is_due: Callable[[int], bool], *, reconcile: bool = False) -> list[Done]:
        """Sync those whose turn it is, as many at a time as there are processes."""
        due = [
            (estate, tenant) for estate in self.estates for place, tenant in enumerate(estate.tenants) if is_due(place)
        ]
        well = {tenant for estate, tenant in due if estate.is_well(tenant)}
        at = BEGIN + timedelta(minutes=minute)
        done = list(self.pool.map(sync, [Asked(self.home, tenant, at, reconcile) for _, tenant in due]))
        self.syncs += done
        for one in done:
            if one.failure and (one.tenant in well or not one.is_expected):
                self.failed_though_well.append(one)
                self.tell(f"{one.tenant} is well, and its sync failed: {one.failure}")
        return done


@contextmanager
def processes(count: int, home: Path) -> Iterator[ProcessPoolExecutor]:
    """Open processes to sync in; they begin with nothing, as a run's process does."""
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        # One is started for each that is asked for while no other is idle.
        for _ in pool.map(prepare, [home] * count):
            pass
        yield pool


def chance() -> random.Random:
    """Return what happens by chance, which is the same in each soak of a size."""
    return random.Random(7)  # noqa: S311  # no secret
