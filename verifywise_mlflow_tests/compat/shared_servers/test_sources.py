"""Where a version's files lie: every shape of source that clients have written, and what is served of it."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.compat.manifests import hashes, hashes_of
from verifywise_mlflow_tests.compat.registry import SharedRegistry
from verifywise_mlflow_tests.compat.server import CompatServer
from verifywise_mlflow_tests.pipeline.syncing import record, rows, sync
from verifywise_mlflow_tests.registry import MODEL_FILES

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
    beside = {"evaluation/report.json": b"{}", "empty.txt": b"", "odd names/it's 100% \u00fc.txt": b"odd"}
    run_id = registry.run(files={f"model/{path}": content for path, content in MODEL_FILES.items()} | beside)
    registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")

    sync(tenant, store)

    kept = record(store, "churn")
    assert kept["incomplete"] == []
    assert hashes(kept) == hashes_of(MODEL_FILES, "model") | hashes_of(beside, "run")
    assert kept["runtime_environment"]["python_version"] == "3.11.7"  # type: ignore[index]


@pytest.mark.parametrize("shape", ["runs:/{run_id}/model", "{artifact_uri}/model", "{artifact_uri}/model/"])
def test_each_way_to_name_a_runs_folder_leads_to_its_files(
    shape: str, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    run_id = registry.run(files={"model/MLmodel": b"flavors: {}"})
    artifact_uri = registry.client.get_run(run_id).info.artifact_uri
    source = shape.format(run_id=run_id, artifact_uri=artifact_uri)
    registry.version("churn", run_id=run_id, source=source)

    sync(tenant, store)

    kept = record(store, "churn")
    assert kept["source_artifact_uri"] == source
    assert hashes(kept) == hashes_of({"MLmodel": b"flavors: {}"}, "model")


def test_a_source_that_no_run_holds_is_kept_and_its_manifest_says_why(
    server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    for number, source in enumerate(ELSEWHERE, start=1):
        registry.version("churn")
        # Which of them a server takes differs by version; what an older one took stays when it is upgraded.
        server.write_sql("UPDATE model_versions SET source = ? WHERE version = ?", [source, number])

    sync(tenant, store)

    kept = rows(store, "canonical_records", "version_number")
    assert [row["source_artifact_uri"] for row in kept] == ELSEWHERE
    for row in kept:
        assert row["artifact_manifest"]["status"] == "unreachable", row  # type: ignore[index]
        assert "the artifact manifest is unreachable: " in str(row["incomplete"])


@pytest.mark.parametrize("source", ["", None])
def test_a_version_without_a_source_has_no_files(
    source: str | None, server: CompatServer, registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn")
    server.write_sql("UPDATE model_versions SET source = ?", [source])

    sync(tenant, store)

    kept = record(store, "churn")
    assert kept["source_artifact_uri"] is None
    assert (kept["artifact_manifest"]["status"], kept["incomplete"]) == ("none", [])  # type: ignore[index]


def test_a_copy_of_a_copy_has_the_files_of_the_first(registry: SharedRegistry, tenant: Tenant, store: Store) -> None:
    registry.trained_version("it's churn")
    registry.client.copy_model_version("models:/it's churn/1", "staging")
    registry.client.copy_model_version("models:/staging/1", "production")

    sync(tenant, store)

    first, copy, last = (record(store, name) for name in ("it's churn", "staging", "production"))
    assert (copy["source_artifact_uri"], last["source_artifact_uri"]) == ("models:/it's churn/1", "models:/staging/1")
    assert hashes(last) == hashes(copy) == hashes(first)
    assert len(hashes(first)) == len(MODEL_FILES)
    assert last["source_run_id"] == first["source_run_id"]
    assert last["metrics"] == {"accuracy": 0.93}


def test_a_copy_keeps_its_files_when_the_original_is_deleted(
    registry: SharedRegistry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("churn")
    registry.client.copy_model_version("models:/churn/1", "production")
    sync(tenant, store)
    before = hashes(record(store, "production"))

    registry.client.delete_registered_model("churn")
    sync(tenant, store, SyncOptions(rehash=True))

    assert record(store, "churn")["deleted_at"] is not None
    assert hashes(record(store, "production")) == before


def test_a_folder_that_is_not_there_is_told_from_one_that_is(
    registry: SharedRegistry, tenant: Tenant, store: Store, reader: MlflowReader
) -> None:
    run_id = registry.run(files={"notes.txt": b"no model here"})
    registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")

    sync(tenant, store)

    kept = record(store, "churn")
    assert "the server lists no files at" in str(kept["incomplete"])
    assert hashes(kept) == hashes_of({"notes.txt": b"no model here"}, "run")
    assert reader.run_artifacts(run_id, "model") == []
