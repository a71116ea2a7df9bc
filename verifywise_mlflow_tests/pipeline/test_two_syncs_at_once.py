"""Two syncs of one tenant must not write into each other; two tenants must not wait for each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from verifywise_mlflow.compliance.policy import default_policy
from verifywise_mlflow.persistence.store import Store, TenantBusyError
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.syncing import rows, sync
from verifywise_mlflow_tests.registry import Registry


def test_both_end_well_and_leave_what_one_alone_leaves(
    registry: Registry, tenant: Tenant, store: Store, database_url: str
) -> None:
    for model in ("a", "b", "c"):
        registry.trained_version(model)
    other = Store(database_url)
    try:
        with ThreadPoolExecutor(2) as pool:
            for running in [pool.submit(sync, tenant, one) for one in (store, other)]:
                running.result()
    finally:
        other.close()

    assert [row["model_name"] for row in rows(store, "canonical_records")] == ["a", "b", "c"]
    assert len(rows(store, "compliance_results")) == 3 * len(default_policy().rules)
    outcomes = [row["outcome"] for row in rows(store, "audit_entries") if row["kind"] == "sync ended"]
    assert outcomes == ["complete", "complete"]


def test_a_second_one_steps_back_when_the_first_does_not_end(store: Store, database_url: str) -> None:
    other = Store(database_url)
    try:
        with (
            store.exclusive("acme"),
            pytest.raises(TenantBusyError, match="acme"),
            other.exclusive("acme", wait_seconds=0.3),
        ):
            pass
        with store.exclusive("acme"), other.exclusive("globex", wait_seconds=0.3):
            pass
    finally:
        other.close()
