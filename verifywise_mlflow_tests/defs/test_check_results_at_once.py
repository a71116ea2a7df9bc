"""Check results that are stored together equal the rows that Dagster stores one by one."""

# No `from __future__ import annotations` here: Dagster reads the annotations of assets as types.

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqlEventLogStorage
from sqlalchemy import event, text

from verifywise_mlflow.defs.dagster_compat.event_log import TargetMaterialization, check_results_at_once
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow_tests.defs.production import production_instance, set_dagster_database
from verifywise_mlflow_tests.support.databases import empty_database

CHECKS = ("owner", "model_card", "intact")
Block = Callable[[dg.DagsterInstance], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def instance(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance in Postgres."""
    with pytest.MonkeyPatch.context() as variables, empty_database(postgres) as url:
        set_dagster_database(url, variables)
        with production_instance(tmp_path_factory.mktemp("home"), {}) as instance:
            yield instance


def run_with(instance: dg.DagsterInstance, block: Block, *, times: int = 1, fails: bool = False) -> str:
    """Run an asset that logs the results of its checks within a block; return the run's ID."""

    @dg.multi_asset(
        specs=[dg.AssetSpec("records")],
        check_specs=[dg.AssetCheckSpec(name, asset="records") for name in CHECKS],
        partitions_def=dg.StaticPartitionsDefinition(["acme"]),
        can_subset=True,
    )
    def records(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        for attempt in range(times):
            with block(context.instance):
                for number, name in enumerate(CHECKS):
                    context.log_event(result(name, passed=number + attempt != 1))
                if fails:
                    raise ValueError
        yield dg.MaterializeResult()

    job = dg.define_asset_job("job", dg.AssetSelection.assets("records").without_checks())
    resolved = dg.Definitions(assets=[records], jobs=[job]).resolve_job_def("job")
    return resolved.execute_in_process(partition_key="acme", instance=instance, raise_on_error=False).run_id


def result(name: str, *, passed: bool) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("records"),
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{name}: {passed}",
        partition="acme",
        target_materialization_data=TargetMaterialization(storage_id=7, run_id="earlier", timestamp=1.0),
    )


def stored(instance: dg.DagsterInstance, run_id: str) -> tuple[list[object], list[object]]:
    """Return the rows of a run's results in Dagster's two tables, without IDs and times."""
    results = (
        "SELECT r.asset_key, r.check_name, r.partition, r.run_id = e.run_id, execution_status, "
        "evaluation_event = e.event, evaluation_event_timestamp = e.timestamp, materialization_event_storage_id "
        "FROM asset_check_executions r JOIN event_logs e ON e.id = evaluation_event_storage_id "
        "WHERE r.run_id = :run_id ORDER BY e.id"
    )
    events = (
        "SELECT step_key, asset_key, partition, event::jsonb #>> '{user_message}', "
        "event::jsonb #>> '{dagster_event,event_specific_data,check_name}' "
        "FROM event_logs WHERE run_id = :run_id AND dagster_event_type = 'ASSET_CHECK_EVALUATION' ORDER BY id"
    )
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    with storage.index_connection() as connection:
        found = [connection.execute(text(query), {"run_id": run_id}).all() for query in (results, events)]
    return [tuple(row) for row in found[0]], [tuple(row) for row in found[1]]


def one_by_one(_instance: dg.DagsterInstance) -> AbstractContextManager[None]:
    return nullcontext()


@pytest.mark.parametrize("times", [1, 2])
def test_both_tables_hold_what_dagster_would_store(instance: dg.DagsterInstance, times: int) -> None:
    expected = stored(instance, run_with(instance, one_by_one, times=times))

    found = stored(instance, run_with(instance, check_results_at_once, times=times))

    assert [len(table) for table in expected] == [len(CHECKS), times * len(CHECKS)]
    assert found == expected


def test_they_are_stored_by_one_statement(instance: dg.DagsterInstance) -> None:
    statements: list[str] = []
    engine = instance.event_log_storage._engine  # type: ignore[attr-defined]  # it is in Postgres
    event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    run_with(instance, check_results_at_once)

    assert sum("INTO asset_check_executions" in statement for statement in statements) == 1


def test_none_is_stored_if_the_block_fails(instance: dg.DagsterInstance) -> None:
    assert stored(instance, run_with(instance, check_results_at_once, fails=True)) == ([], [])


def test_an_instance_elsewhere_stores_each_as_it_comes(tmp_path: Path) -> None:
    with production_instance(tmp_path, {}, in_sqlite=True) as instance:
        run_id = run_with(instance, check_results_at_once)

        assert len(instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)) == len(CHECKS)
