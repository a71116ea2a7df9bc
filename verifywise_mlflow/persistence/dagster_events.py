"""What Dagster leaves in its own tables when a run is deleted, or reports without a run: its deletion knows neither.

It keeps each result of a check twice: as an event, and in a table of results that has no index by run. Its tables are
named here and nowhere else; the connection is one to Dagster's database, and comes from Dagster.
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

Check: TypeAlias = tuple[str, str]
"""An asset's key, as Dagster keeps it, and the name of its check."""


def checks_with_results(connection: Connection) -> frozenset[Check]:
    """Return the checks that have any result. That goes through the whole table."""
    found = connection.execute(select(_RESULTS.c.asset_key, _RESULTS.c.check_name).distinct())
    return frozenset((asset, check) for asset, check in found)


def forget_check_results(connection: Connection, checks: Collection[Check], run_ids: Sequence[str]) -> None:
    """Delete the results that checks had in runs."""
    # With these three its unique index is of use.
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


def forget_superseded_reports(connection: Connection, asset_keys: Collection[str], before: datetime) -> None:
    """Delete the events of what sensors reported of these assets before a time without a run.

    Of observations, the newest one stays; of a check's results, the one that counts is in their own table, and there is
    one of a partition.
    """
    at = before.astimezone(UTC).replace(tzinfo=None)  # as Dagster keeps times
    reported = (_EVENTS.c.run_id == _NO_RUN, _EVENTS.c.timestamp < at)
    # The results' events are read by nobody: Dagster's pages take results from their table. Of which asset they are is
    # told by their text alone, in which a quote of somebody else's words would be escaped.
    of_ours = or_(*(_EVENTS.c.event.contains(f'"path": {key}', autoescape=True) for key in asset_keys))
    is_result = _EVENTS.c.dagster_event_type == "ASSET_CHECK_EVALUATION"
    connection.execute(delete(_EVENTS).where(*reported, is_result, of_ours))
    later = _EVENTS.alias("later")
    connection.execute(
        delete(_EVENTS).where(
            *reported,
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
