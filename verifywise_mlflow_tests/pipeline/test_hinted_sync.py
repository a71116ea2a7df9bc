"""Which sync follows the hints of webhooks, and which sync settles them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.repositories import change_hints, tenancy
from verifywise_mlflow.persistence.repositories.change_hints import REGISTRY, HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.hinted_sync import plan_hinted_sync
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.server import DatabricksServer
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.support.hostile_server import HostileServer, ReceivedRequest, hostile_server, json_response
from verifywise_mlflow_tests.support.syncing import sync

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
CHURN = HintedObject(ObjectKind.MODEL, "churn")
CHURN_1 = HintedObject(ObjectKind.MODEL, "churn", 1)
GREETING = HintedObject(ObjectKind.PROMPT, "greeting")

_VERSION = {"name": "churn", "version": "1"}
_RESPONSES = {
    "registered-models/search": {"registered_models": [{"name": "churn"}]},
    "registered-models/get": {"registered_model": {"name": "churn"}},
    "model-versions/search": {"model_versions": [_VERSION]},
    "model-versions/get": {"model_version": _VERSION},
    "server-info": {"store_type": "SqlStore"},
}


@pytest.fixture
def server() -> Iterator[HostileServer]:
    """A server with one version, whose responses a test can replace."""

    def respond(_: HostileServer, request: ReceivedRequest) -> bytes:
        if "is_prompt" in request.target:
            return json_response({})
        for endpoint, response in _RESPONSES.items():
            if endpoint in request.target:
                return json_response(response)
        return json_response({"error_code": "ENDPOINT_NOT_FOUND"}, 404)

    with hostile_server(respond) as running:
        yield running


@pytest.fixture
def tenant(server: HostileServer) -> Tenant:
    return Tenant(
        tenant_id="acme",
        tracking_uri=server.uri,
        allow_private_network=True,
        artifacts=Artifacts(manifests=False),
    )


def receive(store: Store, *objects: HintedObject) -> None:
    with store.begin("acme") as session:
        change_hints.record(session, objects, NOW)


def pending(store: Store) -> list[HintedObject]:
    with store.begin("acme") as session:
        return [hint.object for hint in change_hints.pending(session)]


def follow_hints(tenant: Tenant, store: Store, during: Callable[[], object] = lambda: None) -> SyncOptions:
    """Run the sync that the hints require; act when the first models were read. Return the options of the sync."""
    plan = plan_hinted_sync(store, tenant)
    events = iter((during,))

    def on_progress(_stage: Stage, _done: int, _total: int) -> None:
        next(events, lambda: None)()

    with Sync(tenant, store, plan.options, hints=plan.hints, report_progress=on_progress) as run:
        run.run_all()
    return plan.options


def test_a_targeted_sync_settles_the_hints_that_it_follows(tenant: Tenant, store: Store) -> None:
    sync(tenant, store)
    receive(store, CHURN_1, CHURN, GREETING)

    options = follow_hints(tenant, store, during=lambda: receive(store, CHURN))

    assert options.only == (CHURN, CHURN_1, GREETING)
    assert pending(store) == [CHURN], "an event that arrived meanwhile is followed by the next sync"
    follow_hints(tenant, store)
    assert pending(store) == []
    assert plan_hinted_sync(store, tenant).options.only == ()


def test_a_complete_listing_settles_what_was_received_before_it(tenant: Tenant, store: Store) -> None:
    receive(store, CHURN_1, GREETING)

    options = follow_hints(tenant, store, during=lambda: receive(store, CHURN))

    assert options.only is None, "the first sync of a tenant lists its registry"
    assert pending(store) == [CHURN]
    receive(store, REGISTRY)
    assert follow_hints(tenant, store).only is None
    assert pending(store) == []


def test_a_failed_sync_an_incomplete_listing_and_a_part_of_a_sync_settle_nothing(
    tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(tenant, store)
    receive(store, CHURN_1)

    with monkeypatch.context() as patch:
        patch.setitem(_RESPONSES, "model-versions/search", {"model_versions": [_VERSION, {"name": "no number"}]})
        sync(tenant, store)
    assert pending(store) == [CHURN_1]

    with Sync(tenant, store) as part:
        part.run(Stage.REGISTERED_MODELS)
    assert pending(store) == [CHURN_1]

    with monkeypatch.context() as patch:
        patch.delitem(_RESPONSES, "model-versions/get")
        with pytest.raises(HttpError, match="does not have the endpoint"):
            follow_hints(tenant, store)
    assert pending(store) == [CHURN_1]

    follow_hints(tenant, store)
    assert pending(store) == []


def test_what_point_reads_do_not_suffice_for_is_a_sync_of_the_registry(tenant: Tenant, store: Store) -> None:
    databricks = tenant.model_copy(update={"server": DatabricksServer(kind="databricks")})
    receive(store, CHURN)
    assert plan_hinted_sync(store, tenant).options.only is None, "the tenant was never listed"

    with store.begin("acme") as session:
        tenancy.record_refresh(session, Stage.MODEL_VERSIONS, "s", NOW, reconciled=True)

    assert plan_hinted_sync(store, tenant).options.only == (CHURN,)
    assert plan_hinted_sync(store, databricks).options.only is None


def test_a_known_model_that_webhooks_take_for_a_prompt_is_read_as_a_model(tenant: Tenant, store: Store) -> None:
    sync(tenant, store)
    hidden = HintedObject(ObjectKind.PROMPT, "churn", 1)
    receive(store, hidden, GREETING)

    assert plan_hinted_sync(store, tenant).options.only == (CHURN_1, hidden, GREETING)
    follow_hints(tenant, store)
    assert pending(store) == []


def test_a_flood_of_long_names_cannot_keep_a_sync_from_starting(tenant: Tenant, store: Store) -> None:
    sync(tenant, store)
    names = [f"{number}{chr(1) * 1_900}" for number in range(change_hints.MAX_HINTS)]
    receive(store, *(HintedObject(ObjectKind.MODEL, name) for name in names))

    with Sync(tenant, store, plan_hinted_sync(store, tenant).options):
        pass

    assert len(pending(store)) == change_hints.MAX_HINTS
