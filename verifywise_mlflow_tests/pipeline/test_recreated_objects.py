"""An object that is recreated under its name is another object. A bad run does not affect other runs."""

from __future__ import annotations

import pytest

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.proxy import Exchange, Fault, proxy_before, saying
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import record, rows, sync


def test_a_model_that_was_recreated_between_two_syncs_is_another_model(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn", tags={"owner": "first"})
    registry.version("churn")
    registry.version("fraud")
    sync(tenant, store)
    registry.client.delete_registered_model("churn")
    registry.version("churn", tags={"owner": "second"})
    registry.client.set_registered_model_tag("churn", "risk", "high")

    sync(tenant, store)
    third = sync(tenant, store)

    incarnations = {
        (row["model_name"], row["version_number"]): row["incarnation"] for row in rows(store, "model_versions")
    }
    noted = [
        (row["object_kind"], row["object_name"], row["outcome"])
        for row in rows(store, "audit_entries", "sequence")
        if row["kind"] == "lifecycle event" and "recreated" in str(row["reason"])
    ]
    assert incarnations == {("churn", 1): 2, ("churn", 2): 1, ("fraud", 1): 1}
    assert record(store, "churn")["owner"] == "second"
    # The second version was deleted with the first model, so the tags of the current model do not apply to it.
    assert (record(store, "churn")["risk_category"], record(store, "churn", 2)["risk_category"]) == ("high", None)
    assert "incarnation 2" in str(record(store, "churn")["findings"])
    assert "incarnation" not in str(record(store, "fraud")["findings"])
    assert noted == [("registered model", "churn", "noted"), ("model version", "churn version 1", "noted")]
    assert [report.progress.changed for report in third.reports] == [0] * 6


def test_the_sync_records_what_the_server_offers(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.version("churn")

    sync(tenant, store)

    (entry,) = [row for row in rows(store, "audit_entries", "sequence") if row["kind"] == "sync ended"]
    counts = entry["counts"]
    assert isinstance(counts, dict)
    server_features = counts["server"]
    assert server_features["version"] == entry["server_version"]
    assert (server_features["store_type"], server_features["workspaces"], server_features["logged_models"]) == (
        "SqlStore",
        True,
        True,
    )


@pytest.mark.slow(seconds=14)
def test_one_run_that_breaks_a_page_costs_a_few_requests_and_no_other_run(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    run_ids = [registry.run(metrics={"auc": 0.9}) for _ in range(20)]
    for run_id in run_ids:
        registry.version("churn", run_id=run_id)
    bad = run_ids[7]

    def fail_run_page(exchange: Exchange) -> Fault | None:
        is_requested = (
            exchange.path.endswith(("runs/search", "runs/get")) and bad in exchange.target + exchange.body.decode()
        )
        return saying(500) if is_requested else None

    with proxy_before(tenant.tracking_uri) as proxy:
        proxy.fault = fail_run_page
        proxied_tenant = tenant.model_copy(update={"tracking_uri": proxy.uri})

        run = sync(proxied_tenant, store)

        searches, single = len(proxy.requests_ending_with("runs/search")), len(proxy.requests_ending_with("runs/get"))

    read_error_by_run = {row["run_id"]: row["read_error"] for row in rows(store, "training_runs")}
    assert [run_id for run_id, unreadable in read_error_by_run.items() if unreadable] == [bad]
    assert len(read_error_by_run) == 20
    assert run.reports[2].progress.incomplete == 1
    assert searches <= 3 * 6 + 5, "each failing search is tried three times, each half once"
    assert single == 3
