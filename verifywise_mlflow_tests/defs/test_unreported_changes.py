"""Polls of a tenant with webhooks: they are rarer until a poll shows a change that no webhook reported."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from verifywise_mlflow.defs.sensors.poll_cursor import Suspicion
from verifywise_mlflow.defs.sensors.registry_sensors import changed_listings, new_versions
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.change_polls import fetch_fingerprints, registry_change_token, unreported_models
from verifywise_mlflow.tenants.mlflow_webhooks import Webhooks
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.defs.sync_requests import TickingSensor
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync

WEBHOOKS = Webhooks.model_validate({"path": "env:WEBHOOK_PATH", "secret": "env:WEBHOOK_SECRET", "listing": "3650d"})


def test_listings_are_polled_less_often_until_one_shows_a_change_that_no_webhook_reported(
    registry: Registry, tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    section = "webhooks: {path: 'env:WEBHOOK_PATH', secret: 'env:WEBHOOK_SECRET', listing: 3650d}"
    tenants_file.write_text(tenants_file.read_text().replace("artifacts:", f"{section}, artifacts:"))
    listings = TickingSensor(changed_listings, instance)
    registry.version("churn")
    sync(tenant, store)
    registry.client.set_model_version_tag("churn", "1", "owner", "ann@example.com")

    deliver(store, ago=timedelta(0))
    assert listings.tick() == []
    assert "polled less often while their webhooks are alive: acme" in str(listings.skip_message)

    deliver(store, ago=timedelta(hours=2))  # silent for longer than alive_for
    assert listings.tick() == ["acme"]
    suspicion = listings.cursor.suspected["acme"]
    assert suspicion.models == ("churn",)
    deliver(store, ago=timedelta(0), model="credit")
    assert listings.tick() == []
    assert listings.cursor.suspected == {"acme": suspicion}, "the event may be late"

    sync(tenant, store)
    found_at = suspicion.found_at - 180
    listings.cursor = listings.cursor.model_copy(update={"suspected": {"acme": Suspicion(found_at, ("churn",))}})
    listings.tick()
    with store.begin("acme") as session:
        assert change_hints.status(session).last_missed_at == datetime.fromtimestamp(found_at, UTC)
    assert "less often" not in str(listings.skip_message), "an event of another model does not hide the miss"


def test_a_change_whose_event_comes_late_is_no_miss(
    registry: Registry, tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    section = "webhooks: {path: 'env:WEBHOOK_PATH', secret: 'env:WEBHOOK_SECRET', listing: 3650d}"
    tenants_file.write_text(tenants_file.read_text().replace("artifacts:", f"{section}, artifacts:"))
    registry.version("churn")
    sync(tenant, store)
    poll, listings = TickingSensor(new_versions, instance), TickingSensor(changed_listings, instance)
    registry.version("churn")

    assert poll.tick() == ["acme"]
    assert poll.cursor.suspected["acme"].models == ("churn",), "the cheap poll notices a new version without an event"
    assert poll.tick() == []
    deliver(store, ago=timedelta(0), model="churn")
    sync(tenant, store)
    poll.tick()
    listings.tick()

    assert (poll.cursor.suspected, listings.cursor.suspected) == ({}, {})
    with store.begin("acme") as session:
        assert change_hints.status(session).last_missed_at is None
    assert "polled less often while their webhooks are alive: acme" in str(listings.skip_message)


def deliver(store: Store, *, ago: timedelta, model: str | None = None) -> None:
    """Record a delivery about a model, or a test call."""
    at, objects = datetime.now(UTC) - ago, [HintedObject(ObjectKind.MODEL, model)] if model else []
    with store.begin("acme") as session:
        change_hints.is_new_delivery(session, f"{model} {at}", objects, at)
        change_hints.record_delivery(session, at, is_event=model is not None)


def test_only_changes_that_have_a_webhook_count_as_unreported(registry: Registry, tenant: Tenant, store: Store) -> None:
    with_webhooks = tenant.model_copy(update={"webhooks": WEBHOOKS})
    registry.version("churn")
    sync(tenant, store)

    def is_unreported_after(write: Callable[[], object]) -> bool:
        write()
        listed = fetch_fingerprints(with_webhooks)
        assert registry_change_token(store, "acme", listed) is not None
        is_unreported = bool(unreported_models(store, "acme", listed))
        with store.begin("acme") as session:
            hints = [HintedObject(ObjectKind.MODEL, name, 1) for name in listed.models]
            change_hints.record(session, hints, datetime.now(UTC))
        assert not unreported_models(store, "acme", listed), "hints are pending, so a sync will follow"
        sync(tenant, store)  # the sync settles the hints
        return is_unreported

    client = registry.client
    assert is_unreported_after(lambda: client.set_model_version_tag("churn", "1", "owner", "ann"))
    assert is_unreported_after(lambda: client.set_registered_model_alias("churn", "champion", "1"))
    assert is_unreported_after(lambda: registry.version("churn"))
    assert is_unreported_after(lambda: client.create_registered_model("empty"))
    assert not is_unreported_after(lambda: client.update_model_version("churn", "1", "who leaves"))
    assert not is_unreported_after(lambda: client.set_registered_model_tag("churn", "team", "risk"))
    assert not is_unreported_after(lambda: client.delete_model_version("churn", "2"))
    assert not is_unreported_after(lambda: client.rename_registered_model("churn", "renamed"))
