"""Lost, repeated, reordered, late and forged deliveries affect only the time at which a change is seen."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.hinted_sync import plan_hinted_sync
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.listener.signing import headers_of, post
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.running_listener import (
    RunningListener,
    WebhookSecrets,
    new_secrets,
    running_listener,
    write_tenants,
)
from verifywise_mlflow_tests.support.syncing import rows, sync

pytestmark = pytest.mark.slow(seconds=10)

_CHANGES = 30
_SYNC_EVERY = 10
_TABLES = ("registered_models", "model_versions", "canonical_records", "compliance_results", "compliance_badges")
_KEY = ("model_name", "version_number", "rule_id")
_OF_THE_SYNC = ("revision", "_at", "sync_id", "_since", "input", "tenant_id")


class Deliveries:
    """MLflow's deliveries, over a network with a forger that loses, repeats and delays deliveries."""

    def __init__(self, listener: RunningListener, of_tenant: WebhookSecrets, choices: random.Random) -> None:
        self._url, self._secret, self._choices = listener.address(of_tenant), of_tenant.secret, choices
        self._delayed: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        self.forged_statuses: set[int] = set()

    def send(self, entity: str, action: str, name: str, version: str) -> None:
        """Deliver an event in one of several ways."""
        body = json.dumps(
            {"entity": entity, "action": action, "timestamp": "", "data": {"name": name, "version": version}}
        )
        fault = self._choices.choice(("none", "none", "lost", "repeated", "delayed", "late", "forged"))
        self.faults.append(fault)
        headers = headers_of(self._secret, body, signed_seconds_ago=86_400 if fault == "late" else 0)
        match fault:
            case "lost":
                return
            case "delayed":
                self._delayed.append((body, headers))
            case "forged":
                forged = headers_of(f"{self._secret}x", body.replace(name, f"forged-{name}"))
                self.forged_statuses.add(post(self._url, body.replace(name, f"forged-{name}"), forged).status)
            case _:
                for _ in range(3 if fault == "repeated" else 1):
                    post(self._url, body, headers)

    def arrive(self) -> None:
        """Deliver the delayed deliveries in another order."""
        self._choices.shuffle(self._delayed)
        for body, headers in self._delayed:
            post(self._url, body, headers)
        self._delayed.clear()


@pytest.mark.parametrize("seed", [1])
def test_after_faulty_deliveries_the_store_is_as_polling_alone_leaves_it(
    seed: int, registry: Registry, tenant: Tenant, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices, secrets = random.Random(seed), new_secrets()
    write_tenants(tmp_path / "listener.yaml", {"acme": secrets}, monkeypatch)
    changes = RegistryChanges(registry, choices)
    sync(tenant, store)
    polled = tenant.model_copy(update={"tenant_id": "polled"})
    with running_listener(store) as listener:
        deliveries = Deliveries(listener, secrets, choices)
        for number in range(1, _CHANGES + 1):
            deliveries.send(*changes.make())
            if number % _SYNC_EVERY == 0:
                follow_hints(tenant, store)
                deliveries.arrive()
        follow_hints(tenant, store)

    targeted = [row for row in rows(store, "audit_entries") if row["kind"] == "sync started"]
    assert sum("only" in dict(entry["counts"]["options"]) for entry in targeted) > 1  # type: ignore[index]  # JSON
    assert len(set(deliveries.faults)) == 6, "each fault has occurred"
    assert deliveries.forged_statuses <= {401, 403}
    sync(tenant, store)
    sync(polled, store)
    for table in _TABLES:
        assert contents(store, table, "acme") == contents(store, table, "polled"), table


class RegistryChanges:
    """Random changes that MLflow reports by webhooks, and some changes that no webhook reports."""

    def __init__(self, registry: Registry, choices: random.Random) -> None:
        self._registry, self._choices = registry, choices
        self._versions = {name: [int(registry.version(name).version)] for name in ("churn", "fraud", "risk")}

    def make(self) -> tuple[str, str, str, str]:
        """Change the registry; return the content of MLflow's event about the change."""
        name = self._choices.choice(list(self._versions))
        version = str(self._choices.choice(self._versions[name]))
        client, key = self._registry.client, self._choices.choice(("owner", "risk_category", "note"))
        kinds: dict[str, Callable[[], object]] = {
            "model_version_tag set": lambda: client.set_model_version_tag(name, version, key, str(uuid.uuid4())),
            "model_version_alias created": lambda: client.set_registered_model_alias(name, "champion", version),
            "model_version created": lambda: self._versions[name].append(int(self._registry.version(name).version)),
            # Only polling finds this change: the event is about another object.
            "registered_model created": lambda: client.update_model_version(name, version, str(uuid.uuid4())),
        }
        kind = self._choices.choice(list(kinds))
        kinds[kind]()
        if kind == "model_version created":
            version = str(self._versions[name][-1])
        entity, _, action = kind.partition(" ")
        return entity, action, name, version


def follow_hints(tenant: Tenant, store: Store) -> None:
    """Sync what the hints name, as the job ``targeted_sync`` does."""
    plan = plan_hinted_sync(store, tenant)
    with Sync(tenant, store, plan.options, hints=plan.hints) as run:
        run.run_all()


def contents(store: Store, table: str, tenant_id: str) -> dict[tuple[object, ...], dict[str, object]]:
    """Return the rows of a tenant by key, without the columns that depend on the times of its syncs."""
    return {
        tuple(row.get(name) for name in _KEY): {
            name: value for name, value in row.items() if not any(part in name for part in _OF_THE_SYNC)
        }
        for row in rows(store, table)
        if row["tenant_id"] == tenant_id
    }
