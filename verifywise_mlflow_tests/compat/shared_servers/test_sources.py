"""The sources of versions in every form that clients have written, and the files that the server serves for them."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.manifests import expected_hashes, recorded_hashes
from verifywise_mlflow_tests.compat.server import CompatServer
from verifywise_mlflow_tests.compat.shared_registry import SharedRegistry
from verifywise_mlflow_tests.support.registry import MODEL_FILES
from verifywise_mlflow_tests.support.syncing import record, rows, sync

ELSEWHERE = [
    "s3://bucket/models/churn",
    "dbfs:/databricks/mlflow-registry/churn",
    "abfss://container@account.dfs.core.windows.net/churn",
    "C:\\models\\churn",
    "file:///srv/models/churn",
    "/srv/models/churn",
    "http://files.example/churn",
    "models:/nobody/7",
    "models:/m-" + 32 * "0",
    "runs:/no such run/model",
    "it's ümläut 100% 🦊",
]


def test_the_manifest_of_a_trained_version_has_every_files_hash(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    other_files = {"evaluation/report.json": b"{}", "empty.txt": b"", "odd names/it's 100% \u00fc.txt": b"odd"}
    run_id = registry.run(files={f"model/{path}": content for path, content in MODEL_FILES.items()} | other_files)
    registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")

    sync(tenant, store)

    row = record(store, "churn")
    assert row["incomplete"] == []
    assert recorded_hashes(row) == expected_hashes(MODEL_FILES, "model") | expected_hashes(other_files, "run")
    assert row["runtime_environment"]["python_version"] == "3.11.7"  # type: ignore[index]


@pytest.mark.parametrize("shape", ["runs:/{run_id}/model", "{artifact_uri}/model", "{artifact_uri}/model/"])
def test_each_form_of_a_runs_folder_leads_to_its_files(
    shape: str, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    run_id = registry.run(files={"model/MLmodel": b"flavors: {}"})
    artifact_uri = registry.client.get_run(run_id).info.artifact_uri
    source = shape.format(run_id=run_id, artifact_uri=artifact_uri)
    registry.version("churn", run_id=run_id, source=source)

    sync(tenant, store)

    row = record(store, "churn")
    assert row["source_artifact_uri"] == source
    assert recorded_hashes(row) == expected_hashes({"MLmodel": b"flavors: {}"}, "model")


def test_a_source_outside_runs_is_recorded_with_the_reason_in_the_manifest(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    for number, source in enumerate(ELSEWHERE, start=1):
        registry.version("churn")
        # Releases accept different sources; a source that an older release accepted stays after an upgrade.
        server.write_sql("UPDATE model_versions SET source = ? WHERE version = ?", [source, number])

    sync(tenant, store)

    records = rows(store, "canonical_records", "version_number")
    assert [row["source_artifact_uri"] for row in records] == ELSEWHERE
    for row in records:
        assert row["artifact_manifest"]["status"] == "unreachable", row  # type: ignore[index]
        assert "the artifact manifest is unreachable: " in str(row["incomplete"])


@pytest.mark.parametrize("source", ["", None])
def test_a_version_without_a_source_has_no_files(
    source: str | None, server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn")
    server.write_sql("UPDATE model_versions SET source = ?", [source])

    sync(tenant, store)

    row = record(store, "churn")
    assert row["source_artifact_uri"] is None
    assert (row["artifact_manifest"]["status"], row["incomplete"]) == ("none", [])  # type: ignore[index]


def test_a_copy_of_a_copy_has_the_files_of_the_first(registry: SharedRegistry, tenant: Tenant, store: Store) -> None:
    registry.trained_version("it's churn")
    registry.client.copy_model_version("models:/it's churn/1", "staging")
    registry.client.copy_model_version("models:/staging/1", "production")

    sync(tenant, store)

    first, copy, last = (record(store, name) for name in ("it's churn", "staging", "production"))
    assert (copy["source_artifact_uri"], last["source_artifact_uri"]) == ("models:/it's churn/1", "models:/staging/1")
    assert recorded_hashes(last) == recorded_hashes(copy) == recorded_hashes(first)
    assert len(recorded_hashes(first)) == len(MODEL_FILES)
    assert last["source_run_id"] == first["source_run_id"]
    assert last["metrics"] == {"accuracy": 0.93}


def test_a_copy_keeps_its_files_when_the_original_is_deleted(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("churn")
    registry.client.copy_model_version("models:/churn/1", "production")
    sync(tenant, store)
    before = recorded_hashes(record(store, "production"))

    registry.client.delete_registered_model("churn")
    sync(tenant, store, SyncOptions(rehash=True))

    assert record(store, "churn")["deleted_at"] is not None
    assert recorded_hashes(record(store, "production")) == before


def test_a_missing_folder_is_distinguished_from_an_existing_one(
    registry: SharedRegistry, tenant: Tenant, store: Store, reader: MlflowReader
) -> None:
    run_id = registry.run(files={"notes.txt": b"no model here"})
    registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")

    sync(tenant, store)

    row = record(store, "churn")
    assert "the server lists no files at" in str(row["incomplete"])
    assert recorded_hashes(row) == expected_hashes({"notes.txt": b"no model here"}, "run")
    assert reader.run_artifacts(run_id, "model") == []
