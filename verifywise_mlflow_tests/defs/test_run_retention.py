"""Old runs are deleted, and what Dagster's pages say of now stays: a real instance on Postgres, some months later."""

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
from verifywise_mlflow.dagster_yaml import InvalidSettingError
from verifywise_mlflow.defs.assets.external_assets import mlflow_server
from verifywise_mlflow.defs.checks.data_quality import stage_check_specs
from verifywise_mlflow.defs.dagster_compat import code_location_of, delete_previous_runless_result
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.defs.run_retention.deletion import delete_expired_runs, delete_old_runs
from verifywise_mlflow.defs.run_retention.policy import FinishedRun, ProtectedRuns, RetentionPeriods, is_deletable
from verifywise_mlflow.defs.run_tags import UNCHANGED_TAG
from verifywise_mlflow_tests.defs.production import production_instance, set_dagster_database

KEPT = RetentionPeriods.from_environment({})
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACME = ("sync_tenant", "acme")
RECORDS = dg.AssetKey("canonical_records")
FRESH = dg.AssetCheckKey(RECORDS, "fresh")


def ended(
    age: timedelta, *, succeeded: bool = True, did_nothing: bool = False, backfill: str | None = None
) -> FinishedRun:
    return FinishedRun("a-run", ACME, NOON - age, succeeded, did_nothing, backfill)


NEEDED = ProtectedRuns({ACME: NOON - timedelta(days=1)}, frozenset({"under-way"}), frozenset())


@pytest.mark.parametrize(
    ("run", "needed", "goes"),
    [
        (ended(timedelta(days=8), did_nothing=True), NEEDED, True),
        (ended(timedelta(days=7), did_nothing=True), NEEDED, False),
        (ended(timedelta(days=8)), NEEDED, False),
        (ended(timedelta(days=91)), NEEDED, True),
        (ended(timedelta(days=8), succeeded=False), NEEDED, False),
        (ended(timedelta(days=91), succeeded=False), ProtectedRuns({}, frozenset(), frozenset()), True),
        (ended(timedelta(days=91)), ProtectedRuns({}, frozenset(), frozenset()), False),
        (ended(timedelta(days=91)), ProtectedRuns({ACME: NOON - timedelta(days=91)}, frozenset(), frozenset()), False),
        (ended(timedelta(days=91), backfill="under-way"), NEEDED, False),
        (ended(timedelta(days=91), backfill="over"), NEEDED, True),
        (ended(timedelta(days=91)), ProtectedRuns(NEEDED.newest_success, frozenset(), frozenset({"a-run"})), False),
    ],
)
def test_a_run_goes_when_it_is_old_and_nothing_of_now_hangs_on_it(
    run: FinishedRun, needed: ProtectedRuns, goes: bool
) -> None:
    assert is_deletable(run, KEPT, needed, NOON) is goes


def test_how_long_runs_are_kept_comes_from_the_environment_and_nonsense_deletes_none() -> None:
    said = {"VERIFYWISE_RUN_RETENTION_DAYS": "30", "VERIFYWISE_UNCHANGED_RUN_RETENTION_DAYS": "60"}

    assert RetentionPeriods.from_environment(said) == RetentionPeriods(
        timedelta(days=30), timedelta(days=30)
    )  # nobody keeps longer what is of less worth
    with pytest.raises(InvalidSettingError, match="VERIFYWISE_RUN_RETENTION_DAYS"):
        RetentionPeriods.from_environment({"VERIFYWISE_RUN_RETENTION_DAYS": "0"})


def stage_asset(stage: Stage) -> dg.AssetsDefinition:
    checked = stage is Stage.CANONICAL_RECORDS

    @dg.asset(
        name=stage.value,
        partitions_def=tenant_partitions,
        check_specs=stage_check_specs(stage) if checked else [],
    )
    def asset(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        if checked and context.run.tags.get("fails"):
            raise dg.Failure("as asked", allow_retries=False)
        yield dg.MaterializeResult()
        for name in ("complete", "fresh") if checked else ():
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
    instance: dg.DagsterInstance, tenant: str, tags: dict[str, str] | None = None, *, alone: Stage | None = None
) -> str:
    result = JOB.execute_in_process(
        instance=instance,
        partition_key=tenant,
        tags=tags or {},
        asset_selection=[dg.AssetKey(alone.value)] if alone else None,
        raise_on_error=False,
    )
    return result.run_id


def test_after_the_deletion_each_tenant_is_still_materialized_and_has_its_newest_results(
    instance: dg.DagsterInstance, database_url: str, tmp_path: Path
) -> None:
    nothing_new = {UNCHANGED_TAG: "true"}
    changed = sync(instance, "acme")
    unchanged = sync(instance, "acme", nothing_new)
    failed = sync(instance, "acme", {"fails": "yes"})
    filled = sync(instance, "acme", {"dagster/backfill": "under-way"})
    newest = sync(instance, "acme", nothing_new)
    part = sync(instance, "acme", nothing_new, alone=Stage.REGISTERED_MODELS)
    only = sync(instance, "globex", nothing_new)
    under_way = dg.DagsterRun("sync_tenant", status=dg.DagsterRunStatus.STARTED, tags={"dagster/partition": "acme"})
    instance.add_run(under_way)
    instance.add_backfill(PartitionBackfill("under-way", BulkActionStatus.REQUESTED, False, {}, NOON.timestamp()))
    now = datetime.now(UTC)
    before = shown(instance)
    everything = {changed, unchanged, failed, filled, newest, part, only, under_way.run_id}
    assert run_ids(instance) == everything

    assert delete_expired_runs(instance, None, KEPT, now) == 0
    assert delete_expired_runs(instance, None, KEPT, now + timedelta(days=8)) == 1
    assert run_ids(instance) == everything - {unchanged}
    assert delete_expired_runs(instance, None, KEPT, now + timedelta(days=91)) == 2

    assert run_ids(instance) == {filled, newest, part, only, under_way.run_id}
    assert shown(instance) == before == ({"acme", "globex"}, [newest, only])
    assert left(database_url, "event_logs") == {filled, newest, part, only}
    assert left(database_url, "asset_check_executions") == {filled, newest, only}
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {filled, newest, part, only}


def test_a_sensor_tells_a_tenants_result_as_often_as_it_has_to_and_what_is_superseded_goes(
    instance: dg.DagsterInstance, database_url: str
) -> None:
    for tenant, why in (("acme", "late"), ("acme", "late again"), ("globex", "late")):
        told = dg.AssetCheckEvaluation(
            asset_key=RECORDS, check_name="fresh", passed=False, metadata={}, description=why, partition=tenant
        )
        delete_previous_runless_result(instance, told)
        instance.report_runless_asset_event(told)
        instance.report_runless_asset_event(dg.AssetObservation(mlflow_server.key, partition=tenant))
    assert shown_results(instance) == ["late again", "late"]
    synced = sync(instance, "acme")

    delete_expired_runs(instance, None, KEPT, datetime.now(UTC) + timedelta(days=89))
    assert len(rows(database_url, "SELECT id FROM event_logs WHERE run_id = ''")) == 6
    delete_expired_runs(instance, None, KEPT, datetime.now(UTC) + timedelta(days=91))

    told_of = rows(
        database_url, "SELECT partition, run_id FROM asset_check_executions WHERE check_name = 'fresh' ORDER BY 1"
    )
    assert told_of == [("acme", ""), ("acme", synced), ("globex", "")]  # in a table that holds one of a partition
    observed = rows(database_url, "SELECT partition FROM event_logs WHERE run_id = '' ORDER BY 1")
    assert observed == [("acme",), ("globex",)]


def test_runs_and_reports_of_another_code_location_stay_whatever_they_are_called(
    instance: dg.DagsterInstance, database_url: str
) -> None:
    def synced_by(location: str) -> dg.DagsterRun:
        origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), "all").get_job_origin("sync_tenant")
        tags = {"dagster/partition": "acme"}
        succeeded = dg.DagsterRunStatus.SUCCESS
        return instance.add_run(dg.DagsterRun("sync_tenant", status=succeeded, tags=tags, remote_job_origin=origin))

    goes, newest, others, others_newest = (synced_by(location) for location in ("ours", "ours", "others", "others"))
    of_none = [sync(instance, "acme"), sync(instance, "acme")]
    foreign = dg.AssetKey(["theirs", "server"])
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(foreign, "up", passed=True, metadata={}))
    for _ in range(2):
        instance.report_runless_asset_event(dg.AssetObservation(foreign, partition="acme"))

    assert delete_expired_runs(instance, code_location_of(goes), KEPT, datetime.now(UTC) + timedelta(days=91)) == 1

    assert run_ids(instance) == {newest.run_id, others.run_id, others_newest.run_id, *of_none}
    assert len(rows(database_url, "SELECT id FROM event_logs WHERE run_id = ''")) == 3


def test_the_job_deletes_by_the_environment_and_is_itself_soon_deleted(instance: dg.DagsterInstance) -> None:
    result = delete_old_runs.execute_in_process(instance=instance)

    assert result.success
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[UNCHANGED_TAG] == "true"


def shown(instance: dg.DagsterInstance) -> tuple[set[str], list[str]]:
    """Return the partitions that Dagster's page shows as materialized, and the runs of the tenants' newest results."""
    cached = get_and_update_asset_status_cache_value(instance, RECORDS, tenant_partitions)
    assert cached is not None
    materialized = cached.deserialize_materialized_partition_subsets(tenant_partitions)
    return set(materialized.get_partition_keys()), [result.run_id for result in newest_results(instance)]


def shown_results(instance: dg.DagsterInstance) -> list[str | None]:
    return [result.evaluation.description if result.evaluation else None for result in newest_results(instance)]


def newest_results(instance: dg.DagsterInstance) -> list[AssetCheckExecutionRecord]:
    found: list[AssetCheckExecutionRecord] = []
    for tenant in ("acme", "globex"):
        of_tenant = PartitionKeyFilter(key=tenant)
        found += instance.event_log_storage.get_asset_check_execution_history(FRESH, 1, partition_filter=of_tenant)
    return found


def run_ids(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def left(database_url: str, table: str) -> set[object]:
    return {run_id for (run_id,) in rows(database_url, f"SELECT DISTINCT run_id FROM {table}")}


def rows(database_url: str, query: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())
