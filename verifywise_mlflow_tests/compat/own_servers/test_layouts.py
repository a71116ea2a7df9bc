"""Other server set-ups: below a prefix, without proxied artifacts, with workspaces."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.connector.errors import EndpointNotFoundError
from verifywise_mlflow.http.errors import NotFoundError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.compat.environments import (
    ALL_ENVIRONMENTS,
    CURRENT,
    environments_before,
    environments_since,
)
from verifywise_mlflow_tests.compat.manifests import expected_hashes, recorded_hashes
from verifywise_mlflow_tests.compat.server import start_server
from verifywise_mlflow_tests.compat.shared_registry import SharedRegistry
from verifywise_mlflow_tests.support.registry import MODEL_FILES
from verifywise_mlflow_tests.support.syncing import record, rows, sync

OLDEST_AND_CURRENT = (ALL_ENVIRONMENTS[0], CURRENT)


@pytest.mark.parametrize("environment", environments_since("3.17"))
def test_a_server_below_a_prefix_is_read_in_full(environment: str, tmp_path: Path, store: Store) -> None:
    with start_server(environment, tmp_path, arguments=["--static-prefix=/ml"]) as server:
        SharedRegistry(MlflowClient(server.uri), tmp_path).trained_version("churn")

        sync(server.tenant, store)
        unprefixed = server.tenant.model_copy(update={"tracking_uri": server.uri.removesuffix("/ml")})
        with pytest.raises(EndpointNotFoundError, match="its prefix"):
            sync(unprefixed, store)

    row = record(store, "churn")
    assert (row["incomplete"], recorded_hashes(row)) == ([], expected_hashes(MODEL_FILES, "model"))
    (entry,) = (row for row in rows(store, "audit_entries") if row["outcome"] == "complete")
    assert entry["server_version"] == server.version


@pytest.mark.parametrize("environment", environments_before("3.17"))
def test_an_older_server_is_read_in_full_below_its_prefix(environment: str, tmp_path: Path, store: Store) -> None:
    # Its API is not below the prefix; only get-artifact and the web pages' endpoints are.
    with start_server(environment, tmp_path, arguments=["--static-prefix=/ml"]) as server:
        SharedRegistry(MlflowClient(server.uri.removesuffix("/ml")), tmp_path).trained_version("churn")

        sync(server.tenant, store)

    row = record(store, "churn")
    assert (row["incomplete"], recorded_hashes(row)) == ([], expected_hashes(MODEL_FILES, "model"))


@pytest.mark.parametrize("environment", OLDEST_AND_CURRENT)
def test_artifacts_that_the_server_does_not_proxy_are_read_through_it(
    environment: str, tmp_path: Path, store: Store
) -> None:
    root = tmp_path / "its own artifacts"
    arguments = ["--no-serve-artifacts", f"--default-artifact-root={root}"]
    with start_server(environment, tmp_path, arguments=arguments) as server:
        registry = SharedRegistry(MlflowClient(server.uri), tmp_path)
        run_version = registry.trained_version("churn")
        sync(server.tenant, store)

    row = record(store, "churn")
    assert (row["source_artifact_uri"], row["incomplete"]) == (run_version.source, [])
    assert str(run_version.source).startswith(str(root))
    assert recorded_hashes(row) == expected_hashes(MODEL_FILES, "model")


@pytest.mark.parametrize("environment", environments_since("3.17"))
def test_each_workspace_is_a_separate_registry(environment: str, tmp_path: Path, store: Store) -> None:
    with start_server(environment, tmp_path, arguments=["--enable-workspaces"]) as server:
        client = MlflowClient(server.uri)
        tenants = {}
        for workspace in ("default", "team-a", "team-b"):
            if workspace != "default":
                client.create_workspace(workspace)
            with pytest.MonkeyPatch.context() as shell:
                shell.setenv("MLFLOW_WORKSPACE", workspace)
                registry = SharedRegistry(client, tmp_path)
                run_id = registry.run(params={"of": workspace}, files={"model/MLmodel": workspace.encode()})
                registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")
            tenants[workspace] = server.tenant.model_copy(update={"tenant_id": workspace, "workspace": workspace})
        tenants["none named"] = server.tenant.model_copy(update={"tenant_id": "none-named"})

        for tenant in tenants.values():
            sync(tenant, store)
        missing_workspace_tenant = server.tenant.model_copy(update={"workspace": "nobodys"})
        with pytest.raises(NotFoundError, match="nobodys"):
            sync(missing_workspace_tenant, store)

    records = {row["tenant_id"]: row for row in rows(store, "canonical_records")}
    recorded_data = {tenant: (row["hyperparameters"], recorded_hashes(row)) for tenant, row in records.items()}
    expected = {
        workspace: ({"of": workspace}, expected_hashes({"MLmodel": workspace.encode()}, "model"))
        for workspace in ("default", "team-a", "team-b")
    }
    assert recorded_data == expected | {"none-named": expected["default"]}
    assert [row["incomplete"] for row in records.values()] == [[]] * 4
