"""The cost of a sync of an unchanged tenant.

Most syncs are of this kind, so these tests detect each additional statement and request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import event

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.support.hostile_server import HostileServer, ReceivedRequest, hostile_server, json_response
from verifywise_mlflow_tests.support.syncing import sync

MAX_STATEMENTS = 90
MAX_TRANSACTIONS = 40
VERSIONS = [{"name": "churn", "version": str(number)} for number in range(1, 4)]


def respond(_: HostileServer, request: ReceivedRequest) -> bytes:
    if "is_prompt" in request.target:
        return json_response({})
    if "registered-models/search" in request.target:
        return json_response({"registered_models": [{"name": "churn"}]})
    if "model-versions/search" in request.target:
        return json_response({"model_versions": VERSIONS})
    if "server-info" in request.target:
        return json_response({"store_type": "SqlStore"})
    return json_response({"error_code": "ENDPOINT_NOT_FOUND"}, 404)


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with hostile_server(respond) as running:
        yield running


def test_an_unchanged_sync_sends_five_requests_and_few_statements(server: HostileServer, store: Store) -> None:
    tenant = Tenant(
        tenant_id="acme",
        tracking_uri=server.uri,
        allow_private_network=True,
        artifacts=Artifacts(manifests=False),
    )
    sync(tenant, store)
    sync(tenant, store)  # sets the last watermarks
    server.requests.clear()
    sent: Counter[str] = Counter()
    event.listen(store.engine, "after_cursor_execute", lambda *_: sent.update(["statement"]))
    event.listen(store.engine, "begin", lambda *_: sent.update(["transaction"]))

    unchanged = sync(tenant, store)

    assert all(report.is_unchanged for report in unchanged.reports)
    assert len(server.requests) == 5
    assert sent["statement"] <= MAX_STATEMENTS
    assert sent["transaction"] <= MAX_TRANSACTIONS
