"""Measures what syncs leave in Dagster's database, and whether this amount grows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median

import psycopg2

MAX_GROWTH_FACTOR = 1.1
"""The limit of growth: at the end, a sync without changes may leave a tenth more than at the start, since numbers get
more digits."""


@dataclass(frozen=True, slots=True)
class RunEvents:
    """The events of one run in the event log."""

    rows: int
    event_bytes: int
    """The size of the events in bytes, without row headers and indexes."""


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """The size of Dagster's database."""

    runs: int
    events: int
    event_bytes: int
    check_results: int
    """Check results, which Dagster also stores in a separate table."""
    database_bytes: int
    """The size with indexes. Later rows reuse the space of a deleted row; it is not returned to the disk."""


def events_by_run(url: str) -> dict[str, RunEvents]:
    """Return the events of each run, by run id."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT run_id, count(*), sum(octet_length(event)) FROM event_logs GROUP BY run_id")
        return {run: RunEvents(rows, event_bytes) for run, rows, event_bytes in cursor.fetchall()}


def database_size(url: str) -> DatabaseSize:
    """Return the size of Dagster's database."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM runs), count(*), coalesce(sum(octet_length(event)), 0), "
            "(SELECT count(*) FROM asset_check_executions), pg_database_size(current_database()) FROM event_logs"
        )
        return DatabaseSize(*cursor.fetchone())


def first_and_last_third(run_events: Sequence[RunEvents]) -> tuple[float, float] | None:
    """Return the median bytes of the first and the last third of the runs; None for fewer than nine.

    With fewer runs, one retried step would look like growth.
    """
    third = len(run_events) // 3
    if third < 3:
        return None
    return median(events.event_bytes for events in run_events[:third]), median(
        events.event_bytes for events in run_events[-third:]
    )


def growth(run_events: Sequence[RunEvents]) -> str | None:
    """Return a sentence if later syncs leave more bytes in the event log than earlier ones; otherwise None."""
    ends = first_and_last_third(run_events)
    if ends is None or ends[1] <= MAX_GROWTH_FACTOR * ends[0]:
        return None
    return (
        f"a sync that changed nothing left {ends[1] / 1e3:.0f} kB in Dagster's event log at the end, and "
        f"{ends[0] / 1e3:.0f} kB at the beginning"
    )
