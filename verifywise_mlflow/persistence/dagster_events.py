"""What Dagster leaves in its own tables when a run is deleted, or reports without a run: its deletion knows neither.

It keeps each result of a check twice: as an event, and in a table of results that has no index by run. Its tables are
named here and nowhere else; the connection is one to Dagster's database, and comes from Dagster.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, column, delete, exists, select, table

_RESULTS: Final = table(
    "asset_check_executions",
    *(column(name) for name in ("id", "asset_key", "check_name", "partition", "run_id", "create_timestamp")),
)
_EVENTS: Final = table(
    "event_logs",
    *(column(name) for name in ("id", "run_id", "asset_key", "partition", "dagster_event_type", "timestamp")),
)
_NO_RUN: Final = ""


def forget_check_results(connection: Connection, run_ids: Sequence[str]) -> None:
    """Delete the results that checks had in runs."""
    # With these three its unique index is of use.
    checks = connection.execute(select(_RESULTS.c.asset_key, _RESULTS.c.check_name).distinct()).all()
    connection.execute(
        delete(_RESULTS).where(
            _RESULTS.c.asset_key.in_({asset for asset, _ in checks}),
            _RESULTS.c.check_name.in_({check for _, check in checks}),
            _RESULTS.c.run_id.in_(run_ids),
        )
    )


def forget_reported_result(connection: Connection, asset_key: str, check_name: str, partition: str | None) -> None:
    """Delete the result that was reported without a run."""
    connection.execute(
        delete(_RESULTS).where(
            _RESULTS.c.asset_key == asset_key,
            _RESULTS.c.check_name == check_name,
            _RESULTS.c.run_id == _NO_RUN,
            _RESULTS.c.partition.is_not_distinct_from(partition),
        )
    )


def forget_superseded_reports(connection: Connection, before: datetime) -> None:
    """Delete what sensors reported before a time without a run, where something newer was reported of the same."""
    at = before.astimezone(UTC).replace(tzinfo=None)  # as Dagster keeps times
    newer = _RESULTS.alias("newer")
    connection.execute(
        delete(_RESULTS).where(
            _RESULTS.c.run_id == _NO_RUN,
            _RESULTS.c.create_timestamp < at,
            exists().where(
                newer.c.asset_key == _RESULTS.c.asset_key,
                newer.c.check_name == _RESULTS.c.check_name,
                newer.c.partition.is_not_distinct_from(_RESULTS.c.partition),
                newer.c.id > _RESULTS.c.id,
            ),
        )
    )
    # The results' events are read by nobody: Dagster's pages take results from their table.
    reported = (_EVENTS.c.run_id == _NO_RUN, _EVENTS.c.timestamp < at)
    connection.execute(delete(_EVENTS).where(*reported, _EVENTS.c.dagster_event_type == "ASSET_CHECK_EVALUATION"))
    later = _EVENTS.alias("later")
    connection.execute(
        delete(_EVENTS).where(
            *reported,
            _EVENTS.c.dagster_event_type == "ASSET_OBSERVATION",
            exists().where(
                later.c.asset_key == _EVENTS.c.asset_key,
                later.c.dagster_event_type == _EVENTS.c.dagster_event_type,
                later.c.partition.is_not_distinct_from(_EVENTS.c.partition),
                later.c.id > _EVENTS.c.id,
            ),
        )
    )
