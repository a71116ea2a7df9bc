"""The figures of a soak, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Literal

from rich.table import Table

from benchmarks.soak.deletion import Deletion
from benchmarks.soak.event_log import DatabaseSize, RunEvents, first_and_last_third
from benchmarks.soak.scenario import Scenario
from benchmarks.soak.syncing import SyncOutcome

OutcomeKind = Literal["found changes", "found nothing new", "failed"]
KINDS: tuple[OutcomeKind, ...] = ("found changes", "found nothing new", "failed")


def outcome_of(outcome: SyncOutcome) -> OutcomeKind:
    """Return the outcome of a sync."""
    if outcome.failure:
        return "failed"
    return "found changes" if outcome.changes else "found nothing new"


@dataclass(frozen=True, slots=True)
class SyncFigures:
    """The figures of one kind of sync. Bytes are the sizes of events in Dagster's log."""

    count: int
    event_rows: float
    """Mean per sync."""
    event_bytes: float
    """Mean per sync."""
    bytes_at_first: float | None
    """The median of the first third of the syncs."""
    bytes_at_last: float | None
    """The median of the last third of the syncs."""

    @classmethod
    def from_events(cls, run_events: list[RunEvents]) -> SyncFigures:
        """Return the figures of these syncs."""
        first, last = first_and_last_third(run_events) or (None, None)
        rows = mean(events.rows for events in run_events) if run_events else 0.0
        event_bytes = mean(events.event_bytes for events in run_events) if run_events else 0.0
        return cls(len(run_events), rows, event_bytes, first, last)


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures. Memory is in bytes."""

    minutes: int
    minutes_wanted: int
    tenants: int
    versions: int
    """The number of living versions at the end."""
    changes: dict[str, int]
    faults: dict[str, int]
    syncs: dict[str, SyncFigures]
    unexpected_failures: int
    memory_settled: int
    """Peak memory of this process and the sync workers together in the first third."""
    memory_at_end: int
    trail_entries: int
    database_bytes: int
    dagster: DatabaseSize
    runs_deleted: int
    """The number of runs that the retention job deleted from Dagster after all runs had expired."""
    dagster_after_deletion: DatabaseSize

    @classmethod
    def from_scenario(
        cls,
        scenario: Scenario,
        *,
        versions: int,
        entries: int,
        database_bytes: int,
        events_by_run: Mapping[str, RunEvents],
        deletion: Deletion,
    ) -> Figures:
        """Return the figures of a scenario."""
        together = [sum(minute.values()) for minute in scenario.memory_by_minute]
        return cls(
            minutes=len(scenario.memory_by_minute),
            minutes_wanted=scenario.size.minutes,
            tenants=sum(len(server.tenants) for server in scenario.fleet),
            versions=versions,
            changes=dict(sorted(scenario.mutator.counts.items())),
            faults=dict(sorted(scenario.fault_counts.items())),
            syncs={
                kind: SyncFigures.from_events(
                    [events_by_run[outcome.run_id] for outcome in scenario.syncs if outcome_of(outcome) == kind]
                )
                for kind in KINDS
            },
            unexpected_failures=len(scenario.unexpected_failures),
            memory_settled=max(together[: max(len(together) // 3, 1)]),
            memory_at_end=together[-1],
            trail_entries=entries,
            database_bytes=database_bytes,
            dagster=deletion.before,
            runs_deleted=deletion.deleted,
            dagster_after_deletion=deletion.after,
        )

    def as_json(self) -> dict[str, object]:
        """Return the figures as JSON."""
        return asdict(self)

    def table(self) -> Table:
        """Return the figures as text."""
        output_table = Table(show_header=False, box=None, pad_edge=False)
        output_table.add_column(no_wrap=True)
        output_table.add_column()
        minutes_text = (
            f"{self.minutes}" if self.minutes == self.minutes_wanted else f"{self.minutes} of {self.minutes_wanted}"
        )
        for label, figure in (
            ("lived through", f"{minutes_text} simulated minutes, {self.tenants} tenants"),
            ("what people did", _counts_text(self.changes)),
            ("what servers did", _counts_text(self.faults)),
            ("living versions at the end", f"{self.versions:,}"),
            ("syncs that failed though all was well", f"{self.unexpected_failures:,}"),
            ("memory, at most in the first third", _megabytes(self.memory_settled)),
            ("memory, at the end", _megabytes(self.memory_at_end)),
            ("our database", f"{_megabytes(self.database_bytes)}; {self.trail_entries:,} entries in the trails"),
            ("Dagster's database", _megabytes(self.dagster.database_bytes)),
            ("in it", _extent(self.dagster)),
            ("when all is old, and deleted", _extent(self.dagster_after_deletion)),
        ):
            output_table.add_row(label, figure)
        return output_table

    def syncs_table(self) -> Table:
        """Return the table of the syncs' events in Dagster's log."""
        output_table = Table(title="Syncs, and what one leaves in Dagster's event log", title_justify="left")
        for heading in ("", "syncs", "events", "kB", "kB, first third", "kB, last third"):
            output_table.add_column(heading, justify="right" if heading else "left")
        for kind, syncs in self.syncs.items():
            thirds = [
                f"{event_bytes / 1e3:.0f}" if event_bytes is not None else ""
                for event_bytes in (syncs.bytes_at_first, syncs.bytes_at_last)
            ]
            output_table.add_row(
                kind, f"{syncs.count:,}", f"{syncs.event_rows:.0f}", f"{syncs.event_bytes / 1e3:.0f}", *thirds
            )
        return output_table


def _counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} x {kind}" for kind, count in counts.items())


def _extent(extent: DatabaseSize) -> str:
    return f"{extent.runs:,} runs, {extent.events:,} events of {_megabytes(extent.event_bytes)}"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB"
