"""SQL on Dagster's tables: deletes what ``DagsterInstance.delete_run`` leaves, and what sensors report without a run.

Dagster stores each check result twice: as an event, and in a table of results that has no index by run. No other module
names Dagster's tables, and only ``defs.dagster_compat`` calls this one, with a connection that Dagster opened.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from sqlalchemy import Connection, column, delete, exists, or_, select, table

_RESULTS: Final = table(
    "asset_check_executions",
    *(column(name) for name in ("id", "asset_key", "check_name", "partition", "run_id")),
)
_EVENTS: Final = table(
    "event_logs",
    *(column(name) for name in ("id", "run_id", "asset_key", "partition", "dagster_event_type", "timestamp", "event")),
)
_NO_RUN: Final = ""

CheckKey: TypeAlias = tuple[str, str]
"""An asset key as Dagster stores it, and the name of the check."""


def checks_with_results(connection: Connection) -> frozenset[CheckKey]:
    """Return the checks that have any result. This scans the whole table."""
    rows = connection.execute(select(_RESULTS.c.asset_key, _RESULTS.c.check_name).distinct())
    return frozenset((asset_key, check_name) for asset_key, check_name in rows)


def delete_check_results(connection: Connection, checks: Collection[CheckKey], run_ids: Sequence[str]) -> None:
    """Delete the results of these checks in these runs."""
    # All three columns are given so that Postgres can use the table's unique index.
    connection.execute(
        delete(_RESULTS).where(
            _RESULTS.c.asset_key.in_({asset_key for asset_key, _ in checks}),
            _RESULTS.c.check_name.in_({check_name for _, check_name in checks}),
            _RESULTS.c.run_id.in_(run_ids),
        )
    )


def delete_runless_check_result(connection: Connection, asset_key: str, check_name: str, partition: str | None) -> None:
    """Delete a check's result for a partition that was reported without a run."""
    connection.execute(
        delete(_RESULTS).where(
            _RESULTS.c.asset_key == asset_key,
            _RESULTS.c.check_name == check_name,
            _RESULTS.c.run_id == _NO_RUN,
            _RESULTS.c.partition.is_not_distinct_from(partition),
        )
    )


def delete_superseded_runless_events(connection: Connection, asset_keys: Collection[str], before: datetime) -> None:
    """Delete the events that were reported without a run for these assets before a time.

    The newest observation of each partition stays. Of check results every event goes: the current result is in the
    table of results, which holds one row per check and partition for results without a run.
    """
    cutoff = before.astimezone(UTC).replace(tzinfo=None)  # Dagster stores naive UTC
    runless = (_EVENTS.c.run_id == _NO_RUN, _EVENTS.c.timestamp < cutoff)
    # Nobody reads the events of check results: Dagster's pages read the table of results. Only the event's JSON names
    # the asset. A quotation of foreign text in it would be escaped, so it cannot match.
    is_ours = or_(*(_EVENTS.c.event.contains(f'"path": {key}', autoescape=True) for key in asset_keys))
    is_result = _EVENTS.c.dagster_event_type == "ASSET_CHECK_EVALUATION"
    connection.execute(delete(_EVENTS).where(*runless, is_result, is_ours))
    later = _EVENTS.alias("later")
    connection.execute(
        delete(_EVENTS).where(
            *runless,
            _EVENTS.c.dagster_event_type == "ASSET_OBSERVATION",
            _EVENTS.c.asset_key.in_(asset_keys),
            exists().where(
                later.c.asset_key == _EVENTS.c.asset_key,
                later.c.dagster_event_type == _EVENTS.c.dagster_event_type,
                later.c.partition.is_not_distinct_from(_EVENTS.c.partition),
                later.c.id > _EVENTS.c.id,
            ),
        )
    )
