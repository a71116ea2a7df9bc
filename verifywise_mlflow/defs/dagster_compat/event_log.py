"""Dagster's event log: check results in one transaction, and the deletion of rows that Dagster leaves behind."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final, TypeAlias

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.storage.event_log import SqlEventLogStorage

from verifywise_mlflow.persistence import dagster_events

TargetMaterialization: TypeAlias = AssetCheckEvaluationTargetMaterializationData
"""The type of a parameter of the public ``AssetCheckEvaluation``. Dagster does not export it."""

_STORE_EVENT: Final = "store_event"


@contextmanager
def check_results_at_once(instance: dg.DagsterInstance) -> Iterator[None]:
    """Store the check results that a step reports during the block in one transaction at the block's end.

    By default, Dagster stores each result in four transactions, which took a fifth of the CPU time of an unchanged
    sync. If the block raises, no result is stored. Without Postgres, the instance stores each result at once.
    """
    storage = instance.event_log_storage
    if not (isinstance(storage, SqlEventLogStorage) and hasattr(storage, "postgres_url")):
        yield
        return
    store_event = storage.store_event
    results: list[dagster_events.CheckResultRow] = []

    def collect(entry: dg.EventLogEntry) -> None:
        if entry.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            results.append(_stored_form(storage, entry))
        else:
            store_event(entry)

    setattr(storage, _STORE_EVENT, collect)
    try:
        yield
    finally:
        delattr(storage, _STORE_EVENT)
    if results:
        with storage.index_transaction() as connection:
            dagster_events.store_check_results(connection, results)


def _stored_form(storage: SqlEventLogStorage, entry: dg.EventLogEntry) -> dagster_events.CheckResultRow:
    event, row = entry.get_dagster_event(), storage._event_to_row(entry)
    result = event.asset_check_evaluation_data
    target = result.target_materialization_data
    return dagster_events.CheckResultRow(
        run_id=entry.run_id,
        step_key=event.step_key,
        asset_key=result.asset_key.to_string(),
        check_name=result.check_name,
        partition=result.partition,
        status="SUCCEEDED" if result.passed else "FAILED",
        evaluated_at=row["timestamp"],
        event=row["event"],
        materialization_id=target.storage_id if target else None,
    )


def latest_materialization(
    instance: dg.DagsterInstance, asset_key: dg.AssetKey, tenant_id: str
) -> TargetMaterialization | None:
    """Return a tenant's latest materialization of an asset, as the target of a check result; None if there is none.

    A check's page shows a tenant as never checked if its result names no materialization or an old one. Dagster sets
    the target only of results that an asset yields.
    """
    partition = dg.AssetRecordsFilter(asset_key=asset_key, asset_partitions=[tenant_id])
    records = instance.fetch_materializations(partition, limit=1).records
    if not records:
        return None
    latest = records[0]
    return TargetMaterialization(storage_id=latest.storage_id, run_id=latest.run_id, timestamp=latest.timestamp)


def delete_previous_runless_result(instance: dg.DagsterInstance, result: dg.AssetCheckEvaluation) -> None:
    """Delete the last result that a sensor reported for the same check and partition; results of runs stay.

    Dagster's table of results is unique over check, run and partition, and a sensor's result has no run. If the last
    result stayed, the second result of a partition, perhaps weeks later, would fail its tick and each later tick.
    """
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):  # true of every storage that Dagster ships
        with storage.index_connection() as connection:
            key = result.asset_key.to_string()
            dagster_events.delete_runless_check_result(connection, key, result.check_name, result.partition)


class CheckResultDeletion:
    """Deletes the check results of runs, which ``DagsterInstance.delete_run`` leaves behind.

    Delete them before the runs: without the run's ID they cannot be found.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        """Prepare for an instance; nothing is read yet."""
        self._storage = instance.event_log_storage
        self._checks: Collection[dagster_events.CheckKey] | None = None

    def delete(self, run_ids: Sequence[str]) -> None:
        """Delete the check results of these runs. The first call scans the whole table of results."""
        if isinstance(self._storage, SqlEventLogStorage):
            with self._storage.index_connection() as connection:
                if self._checks is None:
                    self._checks = dagster_events.checks_with_results(connection)
                dagster_events.delete_check_results(connection, self._checks, run_ids)


def delete_superseded_runless_events(
    instance: dg.DagsterInstance, asset_keys: Sequence[dg.AssetKey], before: datetime
) -> None:
    """Delete the events that sensors reported for these assets before a time, except the newest observations."""
    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        keys = [key.to_string() for key in asset_keys]
        with storage.index_connection() as connection:
            dagster_events.delete_superseded_runless_events(connection, keys, before)
