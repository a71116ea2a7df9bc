"""When data changes in MLflow, its previous state stays in the history."""

from __future__ import annotations

from datetime import UTC, datetime

from verifywise_mlflow.persistence.queries import dataframes
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync


def test_a_changed_tag_keeps_the_previous_record_and_verdict_in_the_history(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn", tags={"team": "risk"})
    first = sync(tenant, store)
    earlier = datetime.now(UTC)
    registry.client.delete_model_version_tag("churn", "1", "team")
    second = sync(tenant, store)
    sync(tenant, store)
    now = datetime.now(UTC)

    before, after = (dataframes.records_as_of(store, "acme", at) for at in (earlier, now))
    assert (before["owner"].tolist(), after["owner"].tolist()) == (["risk"], [None])
    states = dataframes.record_states(store, "acme", "churn", 1)
    assert states["sync_id"].tolist() == [first.sync_id, second.sync_id]
    assert states["ended_by_sync_id"].dropna().tolist() == [second.sync_id]
    changes = dataframes.record_changes(store, "acme", earlier, now)
    assert changes[["field", "before", "after", "sync_id"]].values.tolist() == [["owner", "risk", None, second.sync_id]]
    earlier_verdicts, later_verdicts = (dataframes.verdicts_as_of(store, "acme", at) for at in (earlier, now))
    changed = earlier_verdicts.merge(later_verdicts, on="rule_id").query("verdict_x != verdict_y")
    assert changed[["rule_id", "verdict_x", "verdict_y"]].values.tolist() == [["owner", "pass", "not evidenced"]]
    rewritten = later_verdicts[later_verdicts["sync_id"] != first.sync_id]
    assert sorted(rewritten["rule_id"]) == ["owner", "production-approver"]  # both read the owner
