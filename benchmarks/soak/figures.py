"""The figures of a soak: a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Literal

from rich.table import Table

from benchmarks.soak.deletion import Deletion
from benchmarks.soak.event_log import Extent, Left, first_and_last
from benchmarks.soak.scenario import Life
from benchmarks.soak.syncing import Done

Kind = Literal["found changes", "found nothing new", "failed"]
KINDS: tuple[Kind, ...] = ("found changes", "found nothing new", "failed")


def kind_of(done: Done) -> Kind:
    """Return what came of a sync."""
    if done.failure:
        return "failed"
    return "found changes" if done.found else "found nothing new"


@dataclass(frozen=True, slots=True)
class Syncs:
    """The syncs of a kind. Bytes are of events in Dagster's log."""

    count: int
    event_rows: float
    """Of one sync, on average."""
    event_bytes: float
    """The same."""
    bytes_at_first: float | None
    """The median of the first third of them."""
    bytes_at_last: float | None
    """The median of the last third."""

    @classmethod
    def of(cls, left: list[Left]) -> Syncs:
        """Return the figures of what these syncs left."""
        first, last = first_and_last(left) or (None, None)
        rows = mean(one.rows for one in left) if left else 0.0
        event_bytes = mean(one.event_bytes for one in left) if left else 0.0
        return cls(len(left), rows, event_bytes, first, last)


@dataclass(frozen=True, slots=True)
class Figures:
    """All of them. Memory is bytes."""

    minutes: int
    minutes_wanted: int
    tenants: int
    versions: int
    """Living, at the end."""
    changes: dict[str, int]
    illnesses: dict[str, int]
    syncs: dict[str, Syncs]
    failed_though_well: int
    memory_settled: int
    """The most that this process and those that sync held together in the first third."""
    memory_at_end: int
    trail_entries: int
    database_bytes: int
    dagster: Extent
    runs_deleted: int
    """Of Dagster, all of them being old by then."""
    dagster_after_deletion: Extent

    @classmethod
    def of(
        cls,
        life: Life,
        *,
        versions: int,
        entries: int,
        database_bytes: int,
        left: Mapping[str, Left],
        deletion: Deletion,
    ) -> Figures:
        """Return the figures of a life."""
        together = [sum(minute.values()) for minute in life.minutes]
        return cls(
            minutes=len(life.minutes),
            minutes_wanted=life.size.minutes,
            tenants=sum(len(estate.tenants) for estate in life.estates),
            versions=versions,
            changes=dict(sorted(life.people.did.items())),
            illnesses=dict(sorted(life.illnesses.items())),
            syncs={kind: Syncs.of([left[one.run_id] for one in life.syncs if kind_of(one) == kind]) for kind in KINDS},
            failed_though_well=len(life.failed_though_well),
            memory_settled=max(together[: max(len(together) // 3, 1)]),
            memory_at_end=together[-1],
            trail_entries=entries,
            database_bytes=database_bytes,
            dagster=deletion.before,
            runs_deleted=deletion.deleted,
            dagster_after_deletion=deletion.after,
        )

    def as_json(self) -> dict[str, object]:
        """Return them for programs."""
        return asdict(self)

    def table(self) -> Table:
        """Return them for people."""
        shown = Table(show_header=False, box=None, pad_edge=False)
        shown.add_column(no_wrap=True)
        shown.add_column()
        lived = f"{self.minutes}" if self.minutes == self.minutes_wanted else f"{self.minutes} of {self.minutes_wanted}"
        for what, figure in (
            ("lived through", f"{lived} simulated minutes, {self.tenants} tenants"),
            ("what people did", _counted(self.changes)),
            ("what servers did", _counted(self.illnesses)),
            ("living versions at the end", f"{self.versions:,}"),
            ("syncs that failed though all was well", f"{self.failed_though_well:,}"),
            ("memory, at most in the first third", _megabytes(self.memory_settled)),
            ("memory, at the end", _megabytes(self.memory_at_end)),
            ("our database", f"{_megabytes(self.database_bytes)}; {self.trail_entries:,} entries in the trails"),
            ("Dagster's database", _megabytes(self.dagster.database_bytes)),
            ("in it", _extent(self.dagster)),
            ("when all is old, and deleted", _extent(self.dagster_after_deletion)),
        ):
            shown.add_row(what, figure)
        return shown

    def syncs_table(self) -> Table:
        """Return what syncs left in Dagster's event log, for people."""
        shown = Table(title="Syncs, and what one leaves in Dagster's event log", title_justify="left")
        for heading in ("", "syncs", "events", "kB", "kB, first third", "kB, last third"):
            shown.add_column(heading, justify="right" if heading else "left")
        for kind, syncs in self.syncs.items():
            thirds = [
                f"{one / 1e3:.0f}" if one is not None else "" for one in (syncs.bytes_at_first, syncs.bytes_at_last)
            ]
            shown.add_row(
                kind, f"{syncs.count:,}", f"{syncs.event_rows:.0f}", f"{syncs.event_bytes / 1e3:.0f}", *thirds
            )
        return shown


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in counts.items())


def _extent(extent: Extent) -> str:
    return f"{extent.runs:,} runs, {extent.events:,} events of {_megabytes(extent.event_bytes)}"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB"
