"""MLflow 3 keeps a model's files apart from its run: what is logged with them comes out, and so do the files."""

from __future__ import annotations

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.environments import before, on, since
from verifywise_mlflow_tests.compat.manifests import hashes, hashes_of
from verifywise_mlflow_tests.compat.registry import SharedRegistry
from verifywise_mlflow_tests.compat.server import CompatServer
from verifywise_mlflow_tests.pipeline.syncing import record, rows, sync
from verifywise_mlflow_tests.registry import MODEL_FILES


@on(since("3"))
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


@on(since("3"))
def test_a_run_names_the_logged_models_that_it_put_out(registry: SharedRegistry, reader: MlflowReader) -> None:
    run_id = registry.run()
    model_id = registry.logged_model(run_id)

    assert reader.run(run_id).logged_model_ids == (model_id,)


@on(since("3"))
def test_a_version_of_a_logged_model_has_its_files_and_its_run(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    run_id = registry.run(metrics={"auc": 0.5}, files={"report.json": b"{}"})
    model_id = registry.logged_model(run_id, tags={"owner": "ann"})
    registry.version("churn", source=f"models:/{model_id}", model_id=model_id, run_id=run_id)

    sync(tenant, store)

    kept = record(store, "churn")
    assert (kept["source_artifact_uri"], kept["source_run_id"]) == (f"models:/{model_id}", run_id)
    assert (kept["owner"], kept["metrics"], kept["incomplete"]) == ("ann", {"auc": 0.5}, [])
    assert hashes(kept) == hashes_of(MODEL_FILES, "model") | hashes_of({"report.json": b"{}"}, "run")
    assert kept["runtime_environment"]["python_version"] == "3.11.7"  # type: ignore[index]


@on(since("3"))
def test_a_version_without_a_run_gets_the_one_of_its_logged_model(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    run_id = registry.run(metrics={"auc": 0.5})
    model_id = registry.logged_model(run_id)
    registry.version("churn")
    server.write_sql("UPDATE model_versions SET source = ?, run_id = NULL", [f"models:/{model_id}"])

    sync(tenant, store)

    kept = record(store, "churn")
    assert (kept["source_run_id"], kept["metrics"]) == (run_id, {"auc": 0.5})
    assert hashes(kept) == hashes_of(MODEL_FILES, "model")


@on(since("3"))
def test_a_copy_of_a_copy_has_the_logged_models_files(registry: SharedRegistry, tenant: Tenant, store: Store) -> None:
    model_id = registry.logged_model(registry.run())
    registry.version("churn", source=f"models:/{model_id}", model_id=model_id)
    registry.client.copy_model_version("models:/churn/1", "staging")
    registry.client.copy_model_version("models:/staging/1", "production")

    sync(tenant, store)

    kept = rows(store, "canonical_records", "model_name")
    assert [row["source_artifact_uri"] for row in kept] == [
        f"models:/{model_id}",
        "models:/staging/1",
        "models:/churn/1",
    ]
    assert [hashes(row) for row in kept] == 3 * [hashes_of(MODEL_FILES, "model")]
    assert [row["incomplete"] for row in kept] == [[], [], []]


@on(since("3"))
def test_a_logged_model_that_is_deleted_leaves_a_version_that_says_so(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    model_id = registry.logged_model(registry.run(metrics={"auc": 0.5}))
    registry.version("churn", source=f"models:/{model_id}", model_id=model_id)
    registry.client.delete_logged_model(model_id)

    sync(tenant, store)

    kept = record(store, "churn")
    assert f"logged model {model_id} does not exist on the server" in str(kept["incomplete"])
    assert kept["artifact_manifest"]["status"] == "unreachable"  # type: ignore[index]


@on(before("3"))
def test_a_server_without_logged_models_leaves_a_version_that_says_so(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn")
    server.write_sql("UPDATE model_versions SET source = ?", ["models:/m-" + 32 * "a"])
    registry.trained_version("fraud")

    sync(tenant, store)

    kept = record(store, "churn")
    assert "the logged model could not be read" in str(kept["incomplete"])
    assert kept["artifact_manifest"]["status"] == "unreachable"  # type: ignore[index]
    assert record(store, "fraud")["incomplete"] == []
