"""A whole sync that reads stores directly, because the server cannot read them or the tenant prefers direct reads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.artifacts.stores import backends
from verifywise_mlflow_tests.artifacts.stores.backends import Backend
from verifywise_mlflow_tests.support import mlflow_process
from verifywise_mlflow_tests.support.registry import MODEL_FILES
from verifywise_mlflow_tests.support.syncing import rows, sync

pytestmark = pytest.mark.slow(seconds=20)


@pytest.fixture(scope="module")
def s3(s3_endpoint: str) -> Backend:
    """The bucket of this module's server."""
    return backends.s3(s3_endpoint)


@pytest.fixture(scope="module")
def server(s3: Backend, mlflow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A server without credentials for the bucket with its artifacts. The tests only read the server."""
    tmp_path = tmp_path_factory.mktemp("direct")
    with MlflowServer(
        backend_uri=f"sqlite:///{shutil.copyfile(mlflow_template, tmp_path / 'mlflow.db')}",
        artifacts=tmp_path / "artifacts",
        log=tmp_path / "mlflow.log",
        arguments=["--no-serve-artifacts", "--default-artifact-root", f"{s3.uri}/mlflow"],
        environment={
            "MLFLOW_S3_ENDPOINT_URL": str(s3.description["endpoint"]),
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        },
        program=mlflow_process.PROGRAM,
    ) as server:
        client = MlflowClient(server.uri)
        run = client.create_run(client.create_experiment("churn"))
        client.set_terminated(run.info.run_id)
        folder = f"{run.info.artifact_uri.removeprefix(s3.uri).strip('/')}/model"
        s3.fill({f"{folder}/{name}": content for name, content in MODEL_FILES.items()})
        client.create_registered_model("churn")
        client.create_model_version("churn", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)
        yield server


def tenant_of(server: MlflowServer, *stores: dict[str, object]) -> Tenant:
    artifacts = Artifacts.model_validate({"stores": stores})
    return Tenant(tenant_id="acme", tracking_uri=server.uri, allow_private_network=True, artifacts=artifacts)


def status_and_reason(store: Store) -> tuple[object, object]:
    (row,) = rows(store, "artifact_manifests")
    manifest = row["manifest"]
    assert isinstance(manifest, dict)
    return manifest["status"], manifest["reason"]


def test_files_that_the_server_cannot_read_are_read_directly(server: MlflowServer, s3: Backend, store: Store) -> None:
    sync(tenant_of(server), store)
    status, reason = status_and_reason(store)
    sync(tenant_of(server, {"prefix": s3.uri, **s3.description}), store)

    assert status == "unreachable"
    assert "could not read its artifact store" in str(reason)
    assert status_and_reason(store) == ("complete", None)


def test_a_preferred_store_is_read_without_the_server(server: MlflowServer, s3: Backend, store: Store) -> None:
    run = sync(tenant_of(server, {"prefix": s3.uri, "prefer": "direct", **s3.description}), store)

    assert status_and_reason(store) == ("complete", None)
    assert run.reports[3].requests == 0
