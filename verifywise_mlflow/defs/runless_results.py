"""Lets a sensor tell the result of a partition's check more than once.

Dagster's table of results has a unique index over check, run and partition, and a sensor's result is of no run: the
second one of a partition, weeks later perhaps, would fail the tick, and each tick after it.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.storage.event_log import SqlEventLogStorage

from verifywise_mlflow.persistence import dagster_events


def make_room_for(instance: dg.DagsterInstance, result: dg.AssetCheckEvaluation) -> None:
    """Take away what was last told of the same without a run; the results of runs stay."""
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):  # all that Dagster has are
        with storage.index_connection() as connection:
            key = result.asset_key.to_string()
            dagster_events.forget_reported_result(connection, key, result.check_name, result.partition)
