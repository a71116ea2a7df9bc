"""Logged models of MLflow 3, whose files are separate from their runs: all fields and files are read."""

from __future__ import annotations

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import environments_before, environments_since, on_servers
from verifywise_mlflow_tests.compat.manifests import expected_hashes, recorded_hashes
from verifywise_mlflow_tests.compat.server import CompatServer
from verifywise_mlflow_tests.compat.shared_registry import SharedRegistry
from verifywise_mlflow_tests.support.registry import MODEL_FILES
from verifywise_mlflow_tests.support.syncing import record, rows, sync


@on_servers(environments_since("3"))
def test_a_logged_model_is_read_in_full_by_search_and_by_its_id(registry: SharedRegistry, reader: MlflowReader) -> None:
    run_id = registry.run(metrics={"auc": 0.5})
    model_id = registry.logged_model(run_id, params={"depth": "7"}, tags={"owner": "it's ann"})
    registry.client.log_metric(run_id, "accuracy", 0.93, model_id=model_id)
    experiment_id = registry.client.get_run(run_id).info.experiment_id

    (model,) = reader.logged_models([model_id], [experiment_id]).rows

    assert (model.model_id, model.experiment_id, model.source_run_id) == (model_id, experiment_id, run_id)
    assert (model.name, model.status, model.model_type) == ("model", "READY", "classifier")
    assert (model.params, model.metrics) == ({"depth": "7"}, {"accuracy": 0.93})
    assert model.tags["owner"] == "it's ann"
    assert model.artifact_uri is not None
    assert model_id in model.artifact_uri
    assert reader.logged_model(model_id) == model


@on_servers(environments_since("3"))
def test_a_run_names_the_logged_models_that_it_produced(registry: SharedRegistry, reader: MlflowReader) -> None:
    run_id = registry.run()
    model_id = registry.logged_model(run_id)

    assert reader.run(run_id).logged_model_ids == (model_id,)


@on_servers(environments_since("3"))
def test_a_version_of_a_logged_model_has_its_files_and_its_run(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    run_id = registry.run(metrics={"auc": 0.5}, files={"report.json": b"{}"})
    model_id = registry.logged_model(run_id, tags={"owner": "ann"})
    registry.version("churn", source=f"models:/{model_id}", model_id=model_id, run_id=run_id)

    sync(tenant, store)

    row = record(store, "churn")
    assert (row["source_artifact_uri"], row["source_run_id"]) == (f"models:/{model_id}", run_id)
    assert (row["owner"], row["metrics"], row["incomplete"]) == ("ann", {"auc": 0.5}, [])
    assert recorded_hashes(row) == expected_hashes(MODEL_FILES, "model") | expected_hashes(
        {"report.json": b"{}"}, "run"
    )
    assert row["runtime_environment"]["python_version"] == "3.11.7"  # type: ignore[index]


@on_servers(environments_since("3"))
def test_a_version_without_a_run_gets_the_run_of_its_logged_model(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    run_id = registry.run(metrics={"auc": 0.5})
    model_id = registry.logged_model(run_id)
    registry.version("churn")
    server.write_sql("UPDATE model_versions SET source = ?, run_id = NULL", [f"models:/{model_id}"])

    sync(tenant, store)

    row = record(store, "churn")
    assert (row["source_run_id"], row["metrics"]) == (run_id, {"auc": 0.5})
    assert recorded_hashes(row) == expected_hashes(MODEL_FILES, "model")


@on_servers(environments_since("3"))
def test_a_version_registered_by_the_path_of_a_logged_model_has_its_run(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    run_id = registry.run(metrics={"auc": 0.5})
    model_id = registry.logged_model(run_id, tags={"owner": "ann"})
    location = registry.client.get_logged_model(model_id).artifact_location
    registry.version("churn", source=location, model_id=model_id)

    sync(tenant, store)

    row = record(store, "churn")
    assert (row["source_artifact_uri"], row["source_run_id"], row["owner"]) == (location, run_id, "ann")
    assert (row["metrics"], row["incomplete"], row["findings"]) == ({"auc": 0.5}, [], [])


@on_servers(environments_since("3"))
def test_a_copy_of_a_copy_has_the_logged_models_files(registry: SharedRegistry, tenant: Tenant, store: Store) -> None:
    model_id = registry.logged_model(registry.run())
    registry.version("churn", source=f"models:/{model_id}", model_id=model_id)
    registry.client.copy_model_version("models:/churn/1", "staging")
    registry.client.copy_model_version("models:/staging/1", "production")

    sync(tenant, store)

    records = rows(store, "canonical_records", "model_name")
    assert [row["source_artifact_uri"] for row in records] == [
        f"models:/{model_id}",
        "models:/staging/1",
        "models:/churn/1",
    ]
    assert [recorded_hashes(row) for row in records] == 3 * [expected_hashes(MODEL_FILES, "model")]
    assert [row["incomplete"] for row in records] == [[], [], []]


@on_servers(environments_since("3"))
def test_a_deleted_logged_model_is_reported_in_the_record_of_its_version(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    model_id = registry.logged_model(registry.run(metrics={"auc": 0.5}))
    registry.version("churn", source=f"models:/{model_id}", model_id=model_id)
    registry.client.delete_logged_model(model_id)

    sync(tenant, store)

    row = record(store, "churn")
    assert f"logged model {model_id} does not exist on the server" in str(row["incomplete"])
    assert row["artifact_manifest"]["status"] == "unreachable"  # type: ignore[index]


@on_servers(environments_before("3"))
def test_a_server_without_logged_models_is_reported_in_the_record(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn")
    server.write_sql("UPDATE model_versions SET source = ?", ["models:/m-" + 32 * "a"])
    registry.trained_version("fraud")

    sync(tenant, store)

    row = record(store, "churn")
    assert "the logged model could not be read" in str(row["incomplete"])
    assert row["artifact_manifest"]["status"] == "unreachable"  # type: ignore[index]
    assert record(store, "fraud")["incomplete"] == []
