"""When data changes in MLflow, its previous state stays in the history."""

from __future__ import annotations

from datetime import UTC, datetime

from verifywise_mlflow.persistence.queries import dataframes
from verifywise_mlflow.persistence.queries.history import Period, record_states_of
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.change_rows import ChangeRow, net_changes
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
    with store.begin("acme") as session:
        spans = [state.span for state in record_states_of(session, ("churn", 1))]
        changes = list(net_changes(session, Period(earlier, now)))
    assert [(span.sync_id, span.ended_by_sync_id) for span in spans] == [
        (first.sync_id, second.sync_id),
        (second.sync_id, None),
    ]
    assert [change for change in changes if change.kind == "record"] == [
        ChangeRow("churn", 1, "record", "owner", "risk", None)
    ]
    earlier_verdicts, later_verdicts = (dataframes.verdicts_as_of(store, "acme", at) for at in (earlier, now))
    changed = earlier_verdicts.merge(later_verdicts, on="rule_id").query("verdict_x != verdict_y")
    assert changed[["rule_id", "verdict_x", "verdict_y"]].values.tolist() == [["owner", "pass", "not evidenced"]]
    rewritten = later_verdicts[later_verdicts["sync_id"] != first.sync_id]
    assert sorted(rewritten["rule_id"]) == ["owner", "production-approver"]  # both read the owner
