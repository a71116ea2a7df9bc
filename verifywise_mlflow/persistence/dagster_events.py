"""SQL on Dagster's tables: stores a run's check results together, and deletes rows that Dagster never deletes.

Dagster never deletes the rows that ``DagsterInstance.delete_run`` leaves behind, and the events that sensors report
without a run.

Dagster stores each check result twice: as an event, and in a table of results that has no index by run. No other module
changes Dagster's tables, and only ``defs.dagster_compat`` calls this module, with a connection that Dagster opened.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from typing import Final, TypeAlias

from sqlalchemy import Connection, column, delete, exists, or_, select, table, text

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

# Dagster numbers events when it inserts them, and a result refers to its event. The result of a repeated step replaces
# the row of the first attempt, and a result replaces the row that Dagster wrote when it planned the check.
_STORE_RESULTS: Final = text(
    """
    WITH results AS (
        SELECT * FROM unnest(
            CAST(:run_id AS text[]), CAST(:step_key AS text[]), CAST(:asset_key AS text[]),
            CAST(:check_name AS text[]), CAST(:partition AS text[]), CAST(:status AS text[]),
            CAST(:evaluated_at AS timestamp[]), CAST(:event AS text[]), CAST(:materialization_id AS bigint[])
        ) WITH ORDINALITY AS result (
            run_id, step_key, asset_key, check_name, partition, status,
            evaluated_at, event, materialization_id, position
        )
    ), stored AS (
        INSERT INTO event_logs (run_id, event, dagster_event_type, timestamp, step_key)
        SELECT run_id, event, 'ASSET_CHECK_EVALUATION', evaluated_at, step_key FROM results ORDER BY position
        RETURNING id
    ), numbered AS (
        SELECT id, row_number() OVER (ORDER BY id) AS position FROM stored
    )
    INSERT INTO asset_check_executions (
        asset_key, check_name, partition, run_id, execution_status, evaluation_event, evaluation_event_timestamp,
        evaluation_event_storage_id, materialization_event_storage_id
    )
    SELECT asset_key, check_name, partition, run_id, status, event, evaluated_at, id, materialization_id
    FROM results JOIN numbered USING (position)
    ON CONFLICT (asset_key, check_name, run_id, partition) DO UPDATE SET
        execution_status = excluded.execution_status,
        evaluation_event = excluded.evaluation_event,
        evaluation_event_timestamp = excluded.evaluation_event_timestamp,
        evaluation_event_storage_id = excluded.evaluation_event_storage_id,
        materialization_event_storage_id = excluded.materialization_event_storage_id
    """
)


@dataclass(frozen=True, slots=True)
class CheckResultRow:
    """A check result of a run, as Dagster stores it."""

    run_id: str
    step_key: str | None
    asset_key: str
    check_name: str
    partition: str | None
    status: str
    """SUCCEEDED or FAILED."""
    evaluated_at: datetime
    """Naive, in UTC."""
    event: str
    """The serialized event, which both tables have."""
    materialization_id: int | None


def store_check_results(connection: Connection, results: Sequence[CheckResultRow]) -> None:
    """Store at least one check result of a run, and the results' events in the same order.

    Each result is for a partition.
    """
    columns = zip(*map(astuple, results), strict=True)
    names = [field.name for field in fields(CheckResultRow)]
    connection.execute(_STORE_RESULTS, dict(zip(names, map(list, columns), strict=True)))


def checks_with_results(connection: Connection) -> frozenset[CheckKey]:
    """Return the checks that have any result. This scans the whole table."""
    rows = connection.execute(select(_RESULTS.c.asset_key, _RESULTS.c.check_name).distinct())
    return frozenset((asset_key, check_name) for asset_key, check_name in rows)


def delete_check_results(connection: Connection, checks: Collection[CheckKey], run_ids: Sequence[str]) -> None:
    """Delete the results of these checks in these runs.

    Assets and names are matched separately. So a further check loses its results, too, if its asset and its name belong
    to two different checks in ``checks``.
    """
    # All three columns are given so that Postgres can use the table's unique index.
    connection.execute(
        delete(_RESULTS).where(
            _RESULTS.c.asset_key.in_({asset_key for asset_key, _ in checks}),
            _RESULTS.c.check_name.in_({check_name for _, check_name in checks}),
            _RESULTS.c.run_id.in_(run_ids),
        )
    )


def delete_runless_check_result(connection: Connection, asset_key: str, check_name: str, partition: str | None) -> None:
    """Delete a check's result for a partition, if the result was reported without a run."""
    connection.execute(
        delete(_RESULTS).where(
            _RESULTS.c.asset_key == asset_key,
            _RESULTS.c.check_name == check_name,
            _RESULTS.c.run_id == _NO_RUN,
            _RESULTS.c.partition.is_not_distinct_from(partition),
        )
    )


def delete_superseded_runless_events(connection: Connection, asset_keys: Collection[str], before: datetime) -> None:
    """Delete the observations and check results that were reported without a run for these assets before a given time.

    The newest observation of each partition stays. Every event of a check result is deleted, since the current result
    is in the table of results. For results without a run, that table has one row per check and partition.
    """
    cutoff = before.astimezone(UTC).replace(tzinfo=None)  # Dagster stores naive UTC
    runless = (_EVENTS.c.run_id == _NO_RUN, _EVENTS.c.timestamp < cutoff)
    # Nobody reads the events of check results: Dagster's pages read the table of results. Only the event's JSON names
    # the asset. Text from a tenant is escaped within that JSON, so it cannot match.
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
