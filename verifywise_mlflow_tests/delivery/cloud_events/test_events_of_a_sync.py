"""A sync writes an event for each change on a real MLflow server, in the transaction of the change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mlflow import MlflowClient

from verifywise_mlflow.delivery.cloud_events.webhook import Webhook
from verifywise_mlflow.delivery.drain import Drain
from verifywise_mlflow.persistence.repositories import delivery_events
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.delivery.settings import Delivery
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.delivery.event_checks import check_event
from verifywise_mlflow_tests.support.hostile_server import hostile_server, make_response
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows, sync

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def with_webhooks(tenant: Tenant, *webhooks: dict[str, object]) -> Tenant:
    common = {"url": "env:HOOK_URL", "signing_secrets": ["env:HOOK_SECRET"], "allow_private_network": True}
    delivery = Delivery.model_validate({"webhooks": [common | webhook for webhook in webhooks]})
    return tenant.model_copy(update={"delivery": delivery})


def waiting(store: Store) -> list[dict[str, Any]]:
    """Return the events in the outbox, in their order; each is checked."""
    return [check_event(str(row["body"])) for row in rows(store, "delivery_events", "event_id")]


def short(event: dict[str, Any]) -> tuple[str, str, int]:
    return event["type"].removeprefix("ai.verifywise.mlflow.version."), event["data"]["model"], event["data"]["version"]


def test_every_change_of_a_version_is_delivered_in_its_order(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    client: MlflowClient = registry.client
    tenant = with_webhooks(tenant, {"name": "siem"})
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    source = registry.trained_version("churn").source
    registry.version("fraud")
    sync(tenant, store)
    client.set_registered_model_alias("churn", "champion", "1")
    client.set_model_version_tag("churn", "1", "owner", "ada.lovelace@bank.example")
    registry.write(source, {"model.pkl": b"\x80\x05 other bytes: nobody may load it"})
    client.delete_model_version("fraud", "1")
    sync(tenant, store, SyncOptions(rehash=True, accept_removals="tested"))

    with hostile_server(lambda *_: make_response(b"", 204)) as server:
        monkeypatch.setenv("HOOK_URL", server.uri)
        report = Drain(store, "acme", Webhook(store, "acme", tenant.delivery.webhooks[0])).run()

    events = [check_event(request.body) for request in server.requests]
    assert report.outcome == "delivered"
    assert waiting(store) == []
    churn = [short(event)[0] for event in events if event["data"]["model"] == "churn"]
    assert churn[:3] == ["first-seen.v1", "badge-changed.v1", "gaps-opened.v1"]
    assert churn[3:5] == ["alias-changed.v1", "files-changed.v1"]
    assert "gaps-closed.v1" in churn[5:]
    fraud = [short(event)[0] for event in events if event["data"]["model"] == "fraud"]
    assert fraud[0] == "first-seen.v1"
    assert "disappeared.v1" in fraud
    closed = next(event for event in events if event["type"].endswith("gaps-closed.v1"))
    assert [gap["verdict"] for gap in closed["data"]["gaps"]] == ["pass"] * len(closed["data"]["gaps"])
    assert closed["data"]["url"].startswith(tenant.tracking_uri)
    assert {event["data"]["sync_id"] for event in events} == {
        row["sync_id"] for row in rows(store, "audit_entries") if row["kind"] == "sync ended"
    }


def test_a_sync_that_finds_nothing_writes_no_event(registry: Registry, tenant: Tenant, store: Store) -> None:
    tenant = with_webhooks(tenant, {"name": "siem"})
    registry.version("churn")
    sync(tenant, store)
    before = rows(store, "delivery_events", "event_id")

    sync(tenant, store)

    assert before
    assert rows(store, "delivery_events", "event_id") == before


def test_each_webhook_gets_the_events_that_it_wants_under_one_id(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    both = ["version.badge-changed", "version.first-seen"]
    tenant = with_webhooks(tenant, {"name": "siem", "events": both}, {"name": "badges", "events": both[:1]})
    registry.version("churn")

    sync(tenant, store)

    of_target: dict[object, list[tuple[str, str]]] = {}
    for row in rows(store, "delivery_events", "event_id"):
        event = json.loads(str(row["body"]))
        of_target.setdefault(row["target"], []).append((short(event)[0], event["id"]))
    assert [kind for kind, _ in of_target["webhook:siem"]] == ["first-seen.v1", "badge-changed.v1"]
    assert of_target["webhook:badges"] == of_target["webhook:siem"][1:]
    assert [row["target"] for row in rows(store, "delivery_outbox", "target")] == ["webhook:badges", "webhook:siem"]


def test_an_event_is_written_if_and_only_if_its_change_is(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = with_webhooks(tenant, {"name": "siem"})
    registry.version("churn")
    append, written = delivery_events.append, []

    def die_at_the_badge(*arguments: Any) -> None:
        append(*arguments)
        written.extend(arguments[2])
        if any("badge-changed" in body for _, body in arguments[2]):
            raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(delivery_events, "append", die_at_the_badge)
        with pytest.raises(KeyboardInterrupt):
            sync(tenant, store)
    assert len(written) > 1
    assert [short(event)[0] for event in waiting(store)] == ["first-seen.v1"]
    assert rows(store, "compliance_badges") == []

    sync(tenant, store)

    kinds = [short(event)[0] for event in waiting(store)]
    assert kinds == ["first-seen.v1", "badge-changed.v1", "gaps-opened.v1"]


def test_a_dead_webhook_neither_fails_nor_slows_a_sync(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK_URL", raising=False)  # not even its address is known
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    tenant = with_webhooks(tenant, {"name": "siem"})
    registry.trained_version("churn")

    run = sync(tenant, store)

    (ended,) = [row for row in rows(store, "audit_entries") if row["kind"] == "sync ended"]
    assert ended["sync_id"] == run.sync_id
    assert ended["outcome"] == "complete"
    report = Drain(store, "acme", Webhook(store, "acme", tenant.delivery.webhooks[0])).run()
    assert (report.outcome, report.reason) == (
        "stopped",
        "the environment variable HOOK_URL (from env:HOOK_URL) is not set or empty: set it",
    )


def test_a_tenant_without_webhooks_writes_no_event(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.version("churn")

    sync(tenant, store)

    assert rows(store, "delivery_events", "event_id") == []
