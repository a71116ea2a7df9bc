"""Runs and experiments of every MLflow version, including deleted and permanently deleted ones."""

from __future__ import annotations

import math
import uuid

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.server import CompatServer
from verifywise_mlflow_tests.compat.shared_registry import CUSTOMERS, SharedRegistry
from verifywise_mlflow_tests.support.syncing import record, rows, sync


def test_a_run_is_read_in_full_by_search_and_by_its_id(registry: SharedRegistry, reader: MlflowReader) -> None:
    metrics = {"nan": math.nan, "inf": math.inf, "zero": 0.0, "auc": 0.5}
    run_id = registry.run(
        metrics=metrics,
        params={"depth": "7", "text": "it's\n100% 信用"},
        tags={"mlflow.user": "ada", "mlflow.source.git.commit": "c0ffee", "spaces and/slash": 'say "hi"'},
        datasets=[CUSTOMERS],
    )
    registry.client.log_metric(run_id, "auc", 0.75, step=3)
    expected = registry.client.get_run(run_id)

    (run,) = reader.runs([run_id], [expected.info.experiment_id]).rows

    assert math.isnan(run.metrics["nan"])
    # MLflow's own form of an infinity.
    assert {key: run.metrics[key] for key in ("inf", "zero", "auc")} == {
        "inf": 1.7976931348623157e308,
        "zero": 0,
        "auc": 0.75,
    }
    assert run.params == {"depth": "7", "text": "it's\n100% 信用"}
    assert {
        "mlflow.user": "ada",
        "mlflow.source.git.commit": "c0ffee",
        "spaces and/slash": 'say "hi"',
    }.items() <= run.tags.items()
    assert [(dataset.name, dataset.digest, dataset.source, dataset.context) for dataset in run.datasets] == [
        ("customers", "abc123", '{"uri": "s3://data/customers"}', "training")
    ]
    assert (run.status, run.lifecycle_stage, run.artifact_uri) == ("FINISHED", "active", expected.info.artifact_uri)
    assert run.started_at is not None
    assert round(run.started_at.timestamp() * 1000) == expected.info.start_time
    assert str(reader.run(run_id)) == str(run)  # as text: NaN differs from itself


def test_every_version_has_a_record_even_if_its_run_was_deleted(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("whole")
    registry.version("runless")
    deleted = registry.trained_version("run deleted")
    registry.client.delete_run(str(deleted.run_id))
    registry.version("run never was", run_id="f" * 32)
    removed = registry.trained_version("run removed for good")
    assert server.write_sql("DELETE FROM runs WHERE run_uuid = ?", [removed.run_id]) == 1
    thrown_away = f"thrown away {uuid.uuid4().hex}"
    in_deleted_experiment = registry.run(experiment=thrown_away, metrics={"auc": 0.7})
    registry.version("experiment deleted", run_id=in_deleted_experiment)
    registry.client.delete_experiment(registry.client.get_run(in_deleted_experiment).info.experiment_id)

    run = sync(tenant, store)

    records = {row["model_name"]: row for row in rows(store, "canonical_records")}
    assert len(records) == 6
    assert records["whole"]["incomplete"] == []
    assert (records["runless"]["metrics"], records["runless"]["source_run_id"]) == (None, None)
    assert records["run deleted"]["metrics"] == {"accuracy": 0.93}
    assert "is deleted in MLflow" in str(records["run deleted"]["findings"])
    for name in ("run never was", "run removed for good"):
        assert "does not exist on the server" in str(records[name]["incomplete"])
        assert records[name]["metrics"] is None
    assert records["experiment deleted"]["metrics"] == {"auc": 0.7}
    assert records["experiment deleted"]["experiment_name"] == thrown_away
    assert run.reports[2].progress.incomplete == 2


def test_a_deleted_experiment_is_listed(registry: SharedRegistry, reader: MlflowReader) -> None:
    name = f"it's deleted {uuid.uuid4().hex}"
    experiment_id = registry.client.create_experiment(name, tags={"team": "risk"})
    registry.client.delete_experiment(experiment_id)

    listing = reader.experiments()

    experiment = {experiment.experiment_id: experiment for experiment in listing.rows}[experiment_id]
    assert (experiment.name, experiment.lifecycle_stage, experiment.tags) == (name, "deleted", {"team": "risk"})
    assert listing.is_complete
    assert reader.experiment(experiment_id) == experiment


def test_a_running_run_is_updated_until_it_ends(registry: SharedRegistry, tenant: Tenant, store: Store) -> None:
    run_id = registry.run(metrics={"auc": 0.5}, end=False)
    registry.version("churn", run_id=run_id)
    sync(tenant, store)
    before = record(store, "churn")

    registry.client.log_metric(run_id, "auc", 0.75, step=1)
    registry.client.set_terminated(run_id, "FAILED")
    sync(tenant, store)

    after = record(store, "churn")
    assert (before["training_status"], before["training_ended_at"], before["metrics"]) == (
        "RUNNING",
        None,
        {"auc": 0.5},
    )
    assert (after["training_status"], after["metrics"]) == ("FAILED", {"auc": 0.75})
    assert after["training_ended_at"] is not None
