"""A whole sync on every MLflow version: complete records, and a second sync without changes."""

from __future__ import annotations

from datetime import UTC, datetime

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import environments_before
from verifywise_mlflow_tests.compat.server import CompatServer
from verifywise_mlflow_tests.compat.shared_registry import CUSTOMERS, MODEL_NAMES, SharedRegistry
from verifywise_mlflow_tests.support.syncing import record, requests, rows, sync


def test_a_record_has_what_mlflow_returns(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    run_id = registry.run(
        experiment="churn 2026",
        metrics={"accuracy": 0.93},
        params={"depth": "7"},
        tags={"mlflow.source.git.commit": "c0ffee", "mlflow.source.name": "train.py", "mlflow.source.type": "LOCAL"},
        datasets=[CUSTOMERS],
    )
    version = registry.version(
        "churn",
        run_id=run_id,
        source=f"runs:/{run_id}/model",
        description="Who leaves?",
        tags={"Owner": "risk-team", "risk_category": "High-Risk", "approver": "grace"},
    )
    registry.client.set_registered_model_alias("churn", "champion", "1")
    run_info = registry.client.get_run(run_id).info

    run = sync(tenant, store)

    row = record(store, "churn")
    assert row["description"] == "Who leaves?"
    assert (row["owner"], row["risk_category"], row["compliance_approver"]) == ("risk-team", "high", "grace")
    assert row["lifecycle_stage"] == "production"
    assert row["created_at"] == datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    assert (row["source_run_id"], row["source_artifact_uri"]) == (run_id, f"runs:/{run_id}/model")
    assert row["training_status"] == "FINISHED"
    assert (row["metrics"], row["hyperparameters"]) == ({"accuracy": 0.93}, {"depth": "7"})
    assert (row["experiment_id"], row["experiment_name"]) == (run_info.experiment_id, "churn 2026")
    assert (row["code_commit"], row["training_entrypoint"]) == ("c0ffee", "train.py")
    assert [dataset["digest"] for dataset in row["dataset_reference"]] == ["abc123"]  # type: ignore[attr-defined]
    assert row["artifact_uri"] == run_info.artifact_uri
    assert [report.progress.notes for report in run.reports] == [[]] * 6
    (entry,) = (row for row in rows(store, "audit_entries") if row["kind"] == "sync ended")
    assert entry["server_version"] == server.version


def test_models_of_any_name_get_their_records_in_one_sync(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    run_ids = {name: registry.run(tags={"note": name}) for name in MODEL_NAMES}
    for name, run_id in run_ids.items():
        registry.version(name, run_id=run_id, tags={"owner": name})
        registry.client.set_registered_model_alias(name, "champion", "1")

    sync(tenant, store)

    records = {row["model_name"]: row for row in rows(store, "canonical_records")}
    assert {name: row["source_run_id"] for name, row in records.items()} == run_ids
    assert {name: row["owner"] for name, row in records.items()} == {name: name.strip() for name in MODEL_NAMES}
    assert {row["lifecycle_stage"] for row in records.values()} == {"production"}


def test_a_second_sync_finds_no_changes_with_few_requests(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    for model in ("a", "b"):
        registry.trained_version(model)
        registry.version(model, run_id="f" * 32)
        registry.client.set_registered_model_alias(model, "champion", "1")
    sync(tenant, store)
    # xmin is the last transaction that wrote a row: any write changes it, even without a difference.
    written = {Stage.COMPLIANCE_RESULTS.value: "version_verdicts"}  # `compliance_results` is a view
    tables = [written.get(stage, stage.value) for stage in Stage] + ["logged_models", "record_inputs"]
    stored_rows = {table: rows(store, f"{table} AS t, LATERAL (SELECT t.xmin AS written) AS x") for table in tables}

    second = sync(tenant, store)

    assert [report.progress.changed for report in second.reports] == [0] * 6
    assert {
        table: rows(store, f"{table} AS t, LATERAL (SELECT t.xmin AS written) AS x") for table in tables
    } == stored_rows
    assert requests(second) <= 8


def test_changes_that_move_no_timestamp_are_detected(registry: SharedRegistry, tenant: Tenant, store: Store) -> None:
    first = registry.trained_version("churn")
    registry.trained_version("churn")
    client = registry.client
    client.set_registered_model_alias("churn", "champion", "1")
    sync(tenant, store)

    client.set_registered_model_alias("churn", "champion", "2")
    client.set_model_version_tag("churn", "1", "risk_category", "limited")
    client.set_tag(str(first.run_id), "owner", "late")
    client.log_metric(str(first.run_id), "late_metric", 1.0)
    sync(tenant, store)

    old, new = record(store, "churn", 1), record(store, "churn", 2)
    assert (old["lifecycle_stage"], new["lifecycle_stage"]) == (None, "production")
    assert (old["risk_category"], old["owner"]) == ("limited", "late")
    assert old["metrics"] == {"accuracy": 0.93, "late_metric": 1.0}


def test_the_stage_is_the_lifecycle_stage_if_no_alias_says_more(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn")
    body = {"name": "churn", "version": "1", "stage": "Staging", "archive_existing_versions": False}
    server.send("POST", "model-versions/transition-stage", body)

    sync(tenant, store)

    assert record(store, "churn")["lifecycle_stage"] == "staging"


def test_a_deleted_version_gets_a_tombstone_and_its_alias_gives_no_other_version_a_stage(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("churn")
    registry.trained_version("churn")
    registry.client.set_registered_model_alias("churn", "champion", "1")
    sync(tenant, store)
    stored_record = record(store, "churn", 1)

    registry.client.delete_model_version("churn", "1")
    second = sync(tenant, store)

    deleted, remaining = record(store, "churn", 1), record(store, "churn", 2)
    assert second.reports[1].progress.removed == 1
    assert deleted["deleted_at"] is not None
    assert deleted["metrics"] == stored_record["metrics"] == {"accuracy": 0.93}
    assert (remaining["deleted_at"], remaining["lifecycle_stage"]) == (None, None)
    # MLflow up to 3.1 does not delete the alias.
    assert ("'champion'" in str(remaining["findings"])) is (server.environment in environments_before("3.17"))


def test_a_model_that_is_deleted_and_recreated_between_two_syncs_is_a_new_one(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn", tags={"owner": "first"})
    registry.version("churn")
    sync(tenant, store)

    registry.client.delete_registered_model("churn")
    recreated_version = registry.version("churn", tags={"owner": "second"})
    sync(tenant, store)

    first, second = record(store, "churn", 1), record(store, "churn", 2)
    assert (first["deleted_at"], first["owner"]) == (None, "second")
    assert first["created_at"] == datetime.fromtimestamp(recreated_version.creation_timestamp / 1000, UTC)
    assert second["deleted_at"] is not None
    assert [row["incarnation"] for row in rows(store, "model_versions")] == [2, 1]


def test_a_renamed_model_is_deleted_under_its_old_name(registry: SharedRegistry, tenant: Tenant, store: Store) -> None:
    registry.trained_version("churn")
    sync(tenant, store)

    registry.client.rename_registered_model("churn", "churn, renamed")
    sync(tenant, store)

    assert record(store, "churn")["deleted_at"] is not None
    renamed = record(store, "churn, renamed")
    assert (renamed["deleted_at"], renamed["metrics"]) == (None, {"accuracy": 0.93})
