"""Old runs are deleted and the current state on Dagster's pages stays: a real instance on Postgres, months later."""

# No `from __future__ import annotations` here: Dagster reads the asset's annotations as types.

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.assets.external_assets import mlflow_server
from verifywise_mlflow.defs.checks.data_quality import stage_check_specs
from verifywise_mlflow.defs.dagster_compat.event_log import delete_previous_runless_result
from verifywise_mlflow.defs.dagster_compat.runs import code_location_of
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.defs.run_retention.deletion import delete_expired_runs, delete_old_runs
from verifywise_mlflow.defs.run_retention.retention_rules import (
    FinishedRun,
    ProtectedRuns,
    RetentionPeriods,
    is_deletable,
)
from verifywise_mlflow.defs.run_tags import UNCHANGED_TAG
from verifywise_mlflow.instance_settings import InvalidSettingError
from verifywise_mlflow_tests.defs.production import production_instance, set_dagster_database

PERIODS = RetentionPeriods.from_environment({})
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACME = ("sync_tenant", "acme")
RECORDS = dg.AssetKey("canonical_records")
FRESH = dg.AssetCheckKey(RECORDS, "fresh")


def finished(
    age: timedelta, *, is_success: bool = True, is_unchanged: bool = False, backfill: str | None = None
) -> FinishedRun:
    return FinishedRun("a-run", ACME, NOON - age, is_success, is_unchanged, backfill)


PROTECTED = ProtectedRuns({ACME: NOON - timedelta(days=1)}, frozenset({"active"}), frozenset())
UNPROTECTED = ProtectedRuns({}, frozenset(), frozenset())


@pytest.mark.parametrize(
    ("run", "protected", "expected"),
    [
        (finished(timedelta(days=8), is_unchanged=True), PROTECTED, True),
        (finished(timedelta(days=7), is_unchanged=True), PROTECTED, False),
        (finished(timedelta(days=8)), PROTECTED, False),
        (finished(timedelta(days=91)), PROTECTED, True),
        (finished(timedelta(days=8), is_success=False), PROTECTED, False),
        (finished(timedelta(days=91), is_success=False), UNPROTECTED, True),
        (finished(timedelta(days=91)), UNPROTECTED, False),
        (
            finished(timedelta(days=91)),
            ProtectedRuns({ACME: NOON - timedelta(days=91)}, frozenset(), frozenset()),
            False,
        ),
        (finished(timedelta(days=91), backfill="active"), PROTECTED, False),
        (finished(timedelta(days=91), backfill="ended"), PROTECTED, True),
        (
            finished(timedelta(days=91)),
            ProtectedRuns(PROTECTED.newest_success, frozenset(), frozenset({"a-run"})),
            False,
        ),
    ],
)
def test_a_run_is_deletable_if_it_is_past_its_period_and_not_protected(
    run: FinishedRun, protected: ProtectedRuns, expected: bool
) -> None:
    assert is_deletable(run, PERIODS, protected, NOON) is expected


def test_the_retention_periods_come_from_the_environment_and_an_invalid_one_is_rejected() -> None:
    environment = {"VERIFYWISE_RUN_RETENTION_DAYS": "30", "VERIFYWISE_UNCHANGED_RUN_RETENTION_DAYS": "60"}

    periods = RetentionPeriods.from_environment(environment)

    assert periods == RetentionPeriods(timedelta(days=30), timedelta(days=30))  # unchanged runs are kept no longer
    with pytest.raises(InvalidSettingError, match="VERIFYWISE_RUN_RETENTION_DAYS"):
        RetentionPeriods.from_environment({"VERIFYWISE_RUN_RETENTION_DAYS": "0"})


def stage_asset(stage: Stage) -> dg.AssetsDefinition:
    has_checks = stage is Stage.CANONICAL_RECORDS

    @dg.asset(
        name=stage.value,
        partitions_def=tenant_partitions,
        check_specs=stage_check_specs(stage) if has_checks else [],
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if has_checks and context.run.tags.get("fails"):
            raise dg.Failure("requested by the test", allow_retries=False)
        yield dg.MaterializeResult()
        for name in ("complete", "fresh") if has_checks else ():
            yield dg.AssetCheckResult(check_name=name, passed=True)

    return asset


STAGES = [stage_asset(stage) for stage in Stage]
JOB = dg.Definitions(
    assets=STAGES, jobs=[dg.define_asset_job("sync_tenant", selection=STAGES)], executor=dg.in_process_executor
).resolve_job_def("sync_tenant")


@pytest.fixture
def instance(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    set_dagster_database(database_url, monkeypatch)
    with production_instance(tmp_path, {"VERIFYWISE_COMPUTE_LOG_DIR": str(tmp_path / "logs")}) as instance:
        instance.add_dynamic_partitions("tenants", ["acme", "globex"])
        yield instance


def sync(
    instance: dg.DagsterInstance, tenant: str, tags: dict[str, str] | None = None, *, only: Stage | None = None
) -> str:
    result = JOB.execute_in_process(
        instance=instance,
        partition_key=tenant,
        tags=tags or {},
        asset_selection=[dg.AssetKey(only.value)] if only else None,
        raise_on_error=False,
    )
    return result.run_id


def test_deletion_keeps_each_tenants_materialization_and_newest_results(
    instance: dg.DagsterInstance, database_url: str, tmp_path: Path
) -> None:
    unchanged_tag = {UNCHANGED_TAG: "true"}
    changed = sync(instance, "acme")
    unchanged = sync(instance, "acme", unchanged_tag)
    failed = sync(instance, "acme", {"fails": "yes"})
    backfill_run = sync(instance, "acme", {"dagster/backfill": "active"})
    newest = sync(instance, "acme", unchanged_tag)
    partial = sync(instance, "acme", unchanged_tag, only=Stage.REGISTERED_MODELS)
    only_run = sync(instance, "globex", unchanged_tag)
    active = dg.DagsterRun("sync_tenant", status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "acme"})
    instance.add_run(active)
    instance.add_backfill(PartitionBackfill("active", BulkActionStatus.REQUESTED, False, {}, NOON.timestamp()))
    now = datetime.now(UTC)
    before = displayed_state(instance)
    all_run_ids = {changed, unchanged, failed, backfill_run, newest, partial, only_run, active.run_id}
    assert run_ids(instance) == all_run_ids

    assert delete_expired_runs(instance, None, PERIODS, now) == 0
    assert delete_expired_runs(instance, None, PERIODS, now + timedelta(days=8)) == 1
    assert run_ids(instance) == all_run_ids - {unchanged}
    assert delete_expired_runs(instance, None, PERIODS, now + timedelta(days=91)) == 2

    assert run_ids(instance) == {backfill_run, newest, partial, only_run, active.run_id}
    assert displayed_state(instance) == before == ({"acme", "globex"}, [newest, only_run])
    assert run_ids_in_table(database_url, "event_logs") == {backfill_run, newest, partial, only_run}
    assert run_ids_in_table(database_url, "asset_check_executions") == {backfill_run, newest, only_run}
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {backfill_run, newest, partial, only_run}


def test_a_sensor_can_report_a_result_repeatedly_and_superseded_events_are_deleted(
    instance: dg.DagsterInstance, database_url: str
) -> None:
    for tenant, reason in (("acme", "stale"), ("acme", "stale again"), ("globex", "stale")):
        result = dg.AssetCheckEvaluation(
            asset_key=RECORDS, check_name="fresh", passed=False, metadata={}, description=reason, partition=tenant
        )
        delete_previous_runless_result(instance, result)
        instance.report_runless_asset_event(result)
        instance.report_runless_asset_event(dg.AssetObservation(mlflow_server.key, partition=tenant))
    assert newest_descriptions(instance) == ["stale again", "stale"]
    synced = sync(instance, "acme")

    delete_expired_runs(instance, None, PERIODS, datetime.now(UTC) + timedelta(days=89))
    assert len(rows(database_url, "SELECT id FROM event_logs WHERE run_id = ''")) == 6
    delete_expired_runs(instance, None, PERIODS, datetime.now(UTC) + timedelta(days=91))

    results = rows(
        database_url, "SELECT partition, run_id FROM asset_check_executions WHERE check_name = 'fresh' ORDER BY 1"
    )
    assert results == [("acme", ""), ("acme", synced), ("globex", "")]  # one row per partition without a run
    observed = rows(database_url, "SELECT partition FROM event_logs WHERE run_id = '' ORDER BY 1")
    assert observed == [("acme",), ("globex",)]


def test_runs_and_events_of_another_code_location_stay_even_with_the_same_names(
    instance: dg.DagsterInstance, database_url: str
) -> None:
    def synced_by(location: str) -> dg.DagsterRun:
        origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "all").get_job_origin("sync_tenant")
        tags = {"dagster/partition": "acme"}
        succeeded = dg.DagsterRunStatus.SUCCESS
        return instance.add_run(dg.DagsterRun("sync_tenant", status=succeeded, tags=tags, remote_job_origin=origin))

    expired, newest, other_expired, other_newest = (synced_by(name) for name in ("ours", "ours", "others", "others"))
    without_location = [sync(instance, "acme"), sync(instance, "acme")]
    foreign = dg.AssetKey(["theirs", "server"])
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(foreign, "up", passed=True, metadata={}))
    for _ in range(2):
        instance.report_runless_asset_event(dg.AssetObservation(foreign, partition="acme"))

    later = datetime.now(UTC) + timedelta(days=91)
    assert delete_expired_runs(instance, code_location_of(expired), PERIODS, later) == 1

    assert run_ids(instance) == {newest.run_id, other_expired.run_id, other_newest.run_id, *without_location}
    assert len(rows(database_url, "SELECT id FROM event_logs WHERE run_id = ''")) == 3


def test_the_runs_of_the_deletion_job_itself_are_deleted_soon(instance: dg.DagsterInstance) -> None:
    result = delete_old_runs.execute_in_process(instance=instance)

    assert result.success
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[UNCHANGED_TAG] == "true"


def displayed_state(instance: dg.DagsterInstance) -> tuple[set[str], list[str]]:
    """Return the partitions that Dagster's page shows as materialized, and the runs of the tenants' newest results."""
    cached = get_and_update_asset_status_cache_value(instance, RECORDS, tenant_partitions)
    assert cached is not None
    materialized = cached.deserialize_materialized_partition_subsets(tenant_partitions)
    return set(materialized.get_partition_keys()), [result.run_id for result in newest_results(instance)]


def newest_descriptions(instance: dg.DagsterInstance) -> list[str | None]:
    return [result.evaluation.description if result.evaluation else None for result in newest_results(instance)]


def newest_results(instance: dg.DagsterInstance) -> list[AssetCheckExecutionRecord]:
    results: list[AssetCheckExecutionRecord] = []
    for tenant in ("acme", "globex"):
        partition = PartitionKeyFilter(key=tenant)
        results += instance.event_log_storage.get_asset_check_execution_history(FRESH, 1, partition_filter=partition)
    return results


def run_ids(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def run_ids_in_table(database_url: str, table: str) -> set[object]:
    return {run_id for (run_id,) in rows(database_url, f"SELECT DISTINCT run_id FROM {table}")}


def rows(database_url: str, query: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())
