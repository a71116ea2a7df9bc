"""Two tenants of one server: one connects directly, the other through a proxy that injects faults.

Both tenants read one workspace. No test may change it: many tests sync this workspace, and filling it takes longer than
syncing it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.artifact_folders import ArtifactFolders
from verifywise_mlflow_tests.pipeline.faults import SHORT_TIMEOUTS, tenant_of_workspace
from verifywise_mlflow_tests.support.proxy import (
    Proxy,
    proxy_before,
)
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry, create_workspace


@pytest.fixture(scope="session")
def full_workspace(mlflow_uri: str, mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A workspace with a version of each kind, for tests that only read it."""
    with pytest.MonkeyPatch.context() as environment:
        workspace = create_workspace(mlflow_uri, environment)
        scratch = tmp_path_factory.mktemp("full-workspace")
        _fill(Registry(MlflowClient(mlflow_uri), scratch, mlflow_database.parent / "artifacts"))
    return workspace


@pytest.fixture
def full_registry(registry: Registry) -> Registry:
    """The test's own workspace, with a version of each kind."""
    _fill(registry)
    return registry


def _fill(registry: Registry) -> None:
    """Register a version of each kind: files in a run, files in a logged model, and a copy of another version."""
    client = registry.client
    registry.trained_version("churn")
    run_id = registry.run(metrics={"auc": 0.7}, tags={"owner": "ada"})
    logged = client.create_logged_model(client.get_run(run_id).info.experiment_id, "model", run_id)
    registry.write(logged.artifact_location, MODEL_FILES)
    model_id = logged.model_id
    client.create_registered_model("fraud")
    client.create_model_version("fraud", f"models:/{model_id}", run_id, await_creation_for=0, model_id=model_id)
    registry.version("copied", source="models:/fraud/1")
    for model in ("churn", "fraud"):
        client.set_registered_model_alias(model, "champion", "1")


@pytest.fixture
def proxy(mlflow_uri: str) -> Iterator[Proxy]:
    with proxy_before(mlflow_uri) as proxy:
        yield proxy


@pytest.fixture
def proxied_tenant(full_workspace: str, proxy: Proxy) -> Tenant:
    """A tenant that connects through the proxy."""
    return tenant_of_workspace("proxied", proxy.uri, full_workspace)


@pytest.fixture
def impatient_tenant(proxied_tenant: Tenant) -> Tenant:
    """The same tenant with timeouts that a test can wait for."""
    return proxied_tenant.model_copy(update={"limits": SHORT_TIMEOUTS})


@pytest.fixture
def healthy_tenant(full_workspace: str, mlflow_uri: str) -> Tenant:
    """A tenant that connects to the same server without the proxy."""
    return tenant_of_workspace("healthy", mlflow_uri, full_workspace)


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the random waits between attempts as short as possible. Waits that the server requests stay."""
    monkeypatch.setattr("random.uniform", lambda least, _most: least)


@pytest.fixture
def artifact_folders(registry: Registry, mlflow_database: Path, workspace: str) -> ArtifactFolders:
    """The workspace's artifact store, as folders on disk."""
    return ArtifactFolders(registry, mlflow_database.parent / "artifacts", workspace)
