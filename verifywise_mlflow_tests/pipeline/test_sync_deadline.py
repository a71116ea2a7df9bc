"""A server that answers slowly but always in time ends a sync at its deadline, and what was read is kept."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.hostile_server import HostileServer, ReceivedRequest, hostile_server, json_response
from verifywise_mlflow_tests.support.syncing import rows, sync

PAGE_SECONDS = 0.05


def search_endlessly(server: HostileServer, request: ReceivedRequest) -> bytes:
    """Answer slowly with a page of one row, and always promise another page."""
    if "registered-models/search" not in request.target and "model-versions/search" not in request.target:
        return json_response({}, 404)
    if "is_prompt" in request.target:
        return json_response({})
    server.hang(PAGE_SECONDS)
    page = len(server.requests)
    name, token = f"model {page:06}", f"page-{page}"
    if "registered-models" in request.target:
        return json_response({"registered_models": [{"name": name}], "next_page_token": token})
    return json_response({"model_versions": [{"name": name, "version": "1"}], "next_page_token": token})


def search_quickly(_server: HostileServer, request: ReceivedRequest) -> bytes:
    if "registered-models/search" in request.target:
        return json_response({"registered_models": [{"name": "churn"}] if "is_prompt" not in request.target else []})
    if "model-versions/search" in request.target:
        return json_response({"model_versions": [{"name": "churn", "version": "1"}]})
    return json_response({}, 404)


def tenant_at(server: HostileServer, *, deadline_seconds: float) -> Tenant:
    tenant = Tenant(tenant_id="acme", tracking_uri=server.uri, allow_private_network=True)
    limits = replace(tenant.limits, sync_deadline_seconds=deadline_seconds)
    return tenant.model_copy(update={"limits": limits})


@pytest.fixture
def synced_before(store: Store) -> Store:
    """A store with one model and one version."""
    with hostile_server(search_quickly) as server:
        sync(tenant_at(server, deadline_seconds=60), store)
    return store


def test_a_sync_ends_at_its_deadline_and_keeps_what_was_read(synced_before: Store) -> None:
    store = synced_before
    refreshed_before = {row["stage"]: row["refreshed_at"] for row in rows(store, "stage_refreshes")}

    with hostile_server(search_endlessly) as server:
        began = time.monotonic()
        run = sync(tenant_at(server, deadline_seconds=4), store)

    assert time.monotonic() - began < 12
    stored = [row["deleted_at"] for row in rows(store, "model_versions")]
    assert len(stored) >= 2, "the rows that were read are kept"
    assert not any(stored), "nothing is withdrawn"
    entry = next(row for row in reversed(rows(store, "audit_entries")) if row["kind"] == "sync ended")
    assert entry["outcome"] == "incomplete"
    assert "registered_models were read in part only: the sync has reached its deadline of 4 seconds" in str(
        entry["reason"]
    )
    assert [report.progress.is_cut_short for report in run.reports[:2]] == [True, True]
    refreshed = {row["stage"]: row["refreshed_at"] for row in rows(store, "stage_refreshes")}
    assert refreshed[Stage.MODEL_VERSIONS] == refreshed_before[Stage.MODEL_VERSIONS], "the stage becomes stale"


def test_the_next_sync_is_complete_if_the_server_is_faster(store: Store) -> None:
    with hostile_server(search_endlessly) as server:
        sync(tenant_at(server, deadline_seconds=1), store)
    with hostile_server(search_quickly) as server:
        sync(tenant_at(server, deadline_seconds=60), store)

    entry = next(row for row in reversed(rows(store, "audit_entries")) if row["kind"] == "sync ended")
    assert "deadline" not in str(entry["reason"])
    assert "churn" in [row["model_name"] for row in rows(store, "canonical_records")]
