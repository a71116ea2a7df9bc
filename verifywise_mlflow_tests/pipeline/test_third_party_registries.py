"""Syncs registries of other projects, which a real MLflow serves.

The registries are not part of this repository, so these tests run only if ``../shared/registries`` exists.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support import mlflow_process
from verifywise_mlflow_tests.support.syncing import record, requests, rows, sync

REGISTRIES = Path(__file__).parents[3] / "shared" / "registries"

pytestmark = [
    pytest.mark.slow(seconds=40),
    pytest.mark.skipif(not REGISTRIES.is_dir(), reason="no ../shared/registries next to this checkout"),
]


@pytest.fixture(scope="module", params=["regression-gates", "missing-run", "iris-logged-models"])
def found_tenant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """A served copy of each registry: MLflow upgrades old stores in place."""
    tmp_path = tmp_path_factory.mktemp("found")
    copy = tmp_path / request.param
    shutil.copytree(REGISTRIES / request.param, copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    database = copy / "mlflow.db"
    backend = f"sqlite:///{database}" if database.exists() else (copy / "mlruns").as_uri()
    with MlflowServer(
        backend_uri=backend,
        artifacts=tmp_path / "artifacts",
        log=tmp_path / "mlflow.log",
        environment={"MLFLOW_ALLOW_FILE_STORE": "true"},
        program=mlflow_process.PROGRAM,
    ) as server:
        yield Tenant(tenant_id="found", tracking_uri=server.uri, allow_private_network=True)


def test_every_version_has_the_fields_that_mlflows_own_client_shows(found_tenant: Tenant, store: Store) -> None:
    sync(found_tenant, store)
    second = sync(found_tenant, store)
    client = MlflowClient(found_tenant.tracking_uri)
    listed_versions = client.search_model_versions(max_results=1000)
    experiment_ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = {run.info.run_id: run for run in client.search_runs(experiment_ids)}
    runs_of_paths = {
        model.artifact_location: model.source_run_id for model in client.search_logged_models(experiment_ids)
    }

    assert requests(second) <= 8
    records = {(row["model_name"], row["version_number"]): row for row in rows(store, "canonical_records")}
    assert set(records) == {(version.name, int(version.version)) for version in listed_versions}
    # A registry that nobody prepared for this product must not cause findings about what its tags and aliases mean.
    assert [finding for row in records.values() for finding in row["findings"]] == []  # type: ignore[attr-defined]
    for version in listed_versions:
        row = records[version.name, int(version.version)]
        run_id = version.run_id or runs_of_paths.get(version.source or "")
        assert row["source_run_id"] == run_id
        assert row["source_artifact_uri"] == version.source
        run = runs.get(run_id or "")
        assert row["metrics"] == (run.data.metrics if run else None)
        assert row["hyperparameters"] == (run.data.params if run else None)
        assert row["training_status"] == (run.info.status if run else None)
        assert row["code_commit"] == (run.data.tags.get("mlflow.source.git.commit") if run else None)


@pytest.mark.parametrize("found_tenant", ["iris-logged-models"], indirect=True)
def test_a_version_that_was_registered_by_a_path_has_the_run_of_its_logged_model(
    found_tenant: Tenant, store: Store
) -> None:
    sync(found_tenant, store)

    by_path, by_id = record(store, "iris-classifier"), record(store, "RandomForest")
    for field in ("owner", "metrics", "experiment_id", "experiment_name", "code_commit", "training_entrypoint"):
        assert by_path[field] == by_id[field] is not None, field
    assert "uncertain origin" not in str(by_path["findings"])
    assert "is the artifact location of logged model m-43a3861f9d164f0f9b52e493e2887fcd" in str(by_path["origins"])


@pytest.mark.parametrize("found_tenant", ["regression-gates"], indirect=True)
def test_a_promotion_by_tags_and_an_alias_is_recognized(found_tenant: Tenant, store: Store) -> None:
    sync(found_tenant, store)

    champion = record(store, "green_taxi_tip_model", 2)
    assert champion["lifecycle_stage"] == "production"
    assert champion["evaluation_tags"]["validation_status"] == "approved"  # type: ignore[index]
    assert record(store, "green_taxi_tip_model", 1)["lifecycle_stage"] is None
