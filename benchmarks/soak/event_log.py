"""What syncs leave in Dagster's own database, and whether it grows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median

import psycopg2

MAX_GROWTH_FACTOR = 1.1
"""A sync that changes nothing may leave a tenth more at the end than at the beginning: figures get more digits."""


@dataclass(frozen=True, slots=True)
class RunEvents:
    """What one run left in the event log."""

    rows: int
    event_bytes: int
    """Of the events themselves, without row headers and indexes."""


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """What lies in Dagster's database."""

    runs: int
    events: int
    event_bytes: int
    check_results: int
    """Which Dagster keeps a second time, in a table of their own."""
    database_bytes: int
    """With indexes. A row that is deleted gives its place to later rows, and not to the disk."""


def events_by_run(url: str) -> dict[str, RunEvents]:
    """Return what each run left, by its id."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT run_id, count(*), sum(octet_length(event)) FROM event_logs GROUP BY run_id")
        return {run: RunEvents(rows, event_bytes) for run, rows, event_bytes in cursor.fetchall()}


def database_size(url: str) -> DatabaseSize:
    """Return what lies in Dagster's database."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM runs), count(*), coalesce(sum(octet_length(event)), 0), "
            "(SELECT count(*) FROM asset_check_executions), pg_database_size(current_database()) FROM event_logs"
        )
        return DatabaseSize(*cursor.fetchone())


def first_and_last_third(left: Sequence[RunEvents]) -> tuple[float, float] | None:
    """Return the median bytes of the first third and of the last third of some runs; None of fewer than nine.

    Fewer tell nothing: a step of one of them that is tried again would pass for growth.
    """
    third = len(left) // 3
    if third < 3:
        return None
    return median(one.event_bytes for one in left[:third]), median(one.event_bytes for one in left[-third:])


def growth(left: Sequence[RunEvents]) -> str | None:
    """Return a sentence if syncs leave more the longer it goes on."""
    ends = first_and_last_third(left)
    if ends is None or ends[1] <= MAX_GROWTH_FACTOR * ends[0]:
        return None
    return (
        f"a sync that changed nothing left {ends[1] / 1e3:.0f} kB in Dagster's event log at the end, and "
        f"{ends[0] / 1e3:.0f} kB at the beginning"
    )
