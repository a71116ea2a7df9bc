"""A Databricks tenant goes through the same pipeline, with a fake server that replays documented responses."""

from __future__ import annotations

import pytest

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.connector.databricks_workspace import Workspace
from verifywise_mlflow_tests.support.hostile_server import hostile_server
from verifywise_mlflow_tests.support.syncing import rows, sync


def databricks(uri: str, registry: str) -> Tenant:
    return Tenant.model_validate(
        {
            "tenant_id": "acme",
            "tracking_uri": uri,
            "allow_private_network": True,
            "server": {"kind": "databricks", "registry": registry},
            "limits": {"max_attempts": 1},
            "artifacts": {"manifests": False},
        }
    )


@pytest.mark.parametrize(
    ("registry", "names"),
    [
        ("workspace", {("churn", 1), ("churn", 2), ("fraud", 1)}),
        ("unity_catalog", {("main.retail.churn", 1), ("main.retail.churn", 2)}),
    ],
)
def test_every_version_of_a_databricks_registry_gets_its_record_and_a_second_sync_changes_nothing(
    store: Store, registry: str, names: set[tuple[str, int]]
) -> None:
    with hostile_server(Workspace.from_recordings("workspace_registry", "unity_catalog", "tracking")) as server:
        tenant = databricks(server.uri, registry)

        first = sync(tenant, store)
        second = sync(tenant, store)

    records = rows(store, "canonical_records")
    entries = [row for row in rows(store, "audit_entries", "sequence") if row["kind"] == "sync ended"]
    assert {(row["model_name"], row["version_number"]) for row in records} >= names
    assert first.reports[-1].progress.read == len(records)
    assert [report.progress.changed for report in second.reports] == [0] * 6
    assert all(entry["counts"]["server"]["store_type"] == f"databricks {registry}" for entry in entries)  # type: ignore[index]  # JSON
