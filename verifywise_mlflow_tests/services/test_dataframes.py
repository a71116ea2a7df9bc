"""Notebooks get dataframes with the record's own column names."""

from __future__ import annotations

from verifywise_mlflow.compliance.rules.policy import default_policy
from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.persistence.queries import dataframes
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync


def test_records_and_verdicts_of_existing_versions_are_dataframes(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    for owner in ("ada", "grace"):
        registry.version("churn", tags={"owner": owner})
    sync(tenant, store)
    registry.client.delete_model_version("churn", "1")
    sync(tenant, store)

    records, verdicts = dataframes.records(store, "acme"), dataframes.verdicts(store, "acme")

    assert list(records.columns[: len(FIELDS)]) == list(FIELDS)
    assert records["owner"].tolist() == ["grace"]
    assert verdicts["version_number"].unique().tolist() == [2]
    assert len(verdicts) == len(default_policy().rules)
    assert dataframes.records(store, "globex").empty
