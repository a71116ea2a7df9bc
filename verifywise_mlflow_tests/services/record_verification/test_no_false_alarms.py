"""Normal actions of syncs and people are never reported as damage.

The random histories of a registry (``histories``) end with the same verification.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from mlflow.exceptions import MlflowException

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.persistence.erasure import erase
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver, withdraw_waiver
from verifywise_mlflow.tenants.tenant import Compliance, History, Tenant
from verifywise_mlflow_tests.support.intact_records import assert_intact
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync

HOSTILE = '\x7f\x1e\x1f\x1d \u2400\u241b0000 "quoted" back\\slash \U0001f600 \u2028'


def sync_at(tenant: Tenant, store: Store, now: datetime) -> None:
    """Sync while the clock stands still."""
    with Sync(tenant, store, SyncOptions(), now=lambda: now) as run:
        run.run_all()


def test_what_happens_to_a_registry_and_to_its_settings_is_no_damage(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    now = datetime.now(UTC)
    metrics = {"auc": -0.0, "large": 1e300, "small": 5e-324, "whole": 1e22, "tenth": 0.1}
    run_id = registry.run(metrics=metrics, params={"seed": "9" * 400, "note": HOSTILE}, tags={"note": HOSTILE})
    registry.version("credit", run_id=run_id, description=HOSTILE, tags={"owner": HOSTILE, "risk": "high"})
    registry.version("credit", tags={"owner": "Ada"})
    for text in ("\x00", "\ud800"):
        with suppress(MlflowException, UnicodeError):
            registry.version("hostile", tags={"owner": text}, description=text)
    sync_at(tenant, store, now)
    first = assert_intact(store)
    assert (first.not_committed, first.checked.not_judged) == (0, 0)

    registry.client.set_registered_model_tag("credit", "owner", "Grace")
    registry.client.set_registered_model_alias("credit", "champion", "2")
    sync_at(tenant, store, now - timedelta(days=1))  # the clock went back
    assert_intact(store)

    strict = tenant.model_copy(update={"compliance": Compliance(thresholds={"most_production_versions": 2})})
    interrupted = Sync(strict, store, SyncOptions()).__enter__()
    for stage in Stage:
        interrupted.run(stage)  # the sync is killed before its end
    assert assert_intact(store).not_committed > 0

    with Sync(strict, store, SyncOptions()) as run:
        run.run_all()
        registry.client.delete_model_version("credit", "1")
        registry.client.set_model_version_tag("credit", "2", "risk", "low")
        for stage in Stage:
            run.run(stage)  # again in the same sync
    assert assert_intact(store).not_committed == 0

    _grant_and_withdraw(store, strict, lambda: datetime.now(UTC))
    thrifty = strict.model_copy(update={"history": History(max_bytes_per_day=1)})
    registry.client.set_model_version_tag("credit", "2", "risk", "high")
    sync(thrifty, store)
    last = assert_intact(store)
    assert last.checked.records > first.checked.records

    erase(store, "acme", datetime.now(UTC))
    sync(tenant, store)
    again = assert_intact(store)
    assert 0 < again.committed < last.committed


def _grant_and_withdraw(store: Store, tenant: Tenant, now: Callable[[], datetime]) -> None:
    for approver in ("Ada", "Grace"):
        expires = (now() + timedelta(days=9)).date()
        waiver = Waiver(
            rule="owner",
            model="credit",
            approver=approver,
            reason="A team is being formed for this model.",
            expires=expires,
        )
        grant_waiver(store, tenant, waiver, now())
    assert_intact(store)
    withdraw_waiver(store, tenant, 1, now())
    assert_intact(store)


def test_deleted_and_recreated_versions_are_no_damage(registry: Registry, tenant: Tenant, store: Store) -> None:
    for model in ("credit", "fraud"):
        registry.trained_version(model)
        registry.trained_version(model)
    sync(tenant, store)
    registry.client.set_registered_model_tag("credit", "owner", "Ada")
    registry.client.delete_model_version("fraud", "1")
    sync(tenant, store)
    registry.client.rename_registered_model("credit", "loans")
    registry.client.delete_registered_model("fraud")
    registry.trained_version("fraud")
    sync(tenant, store)
    report = assert_intact(store)
    assert report.checked.records > 8
