"""The whole life of a tenant runs with the database role of production, which only syncs and is not the owner."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.delivery.configured_targets import configured_targets
from verifywise_mlflow.delivery.drain import Drain
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.erasure import erase
from verifywise_mlflow.persistence.queries.overview import overview
from verifywise_mlflow.persistence.repositories import change_hints, tenancy
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.repositories.tenancy import TenantErasedError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.pipeline.tenant_activation import reconcile_tenants
from verifywise_mlflow.pipeline.waiver_sync import grant_waiver
from verifywise_mlflow.tenants.delivery.settings import Delivery
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.hostile_server import hostile_server, make_response
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import Row, rows, sync


@pytest.fixture
def as_pipeline(database_url: str, store: Store) -> Iterator[Store]:
    """The store with the role of a pipeline. ``store`` has the role of the owner, who sees everything."""
    with login_role(database_url, new_name("pipeline")) as role:
        with store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "pipeline", None, datetime.now(UTC))
        with Store(role.url) as restricted:
            yield restricted


def rows_of_tenant(store: Store, table: str, tenant_id: str) -> list[Row]:
    return [row for row in rows(store, table, "1, 2") if row["tenant_id"] == tenant_id]


def with_receivers(tenant: Tenant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """Return the tenant with a webhook and a file for its lineage."""
    monkeypatch.setenv("HOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    hook = {
        "name": "siem",
        "url": "env:HOOK_URL",
        "signing_secrets": ["env:HOOK_SECRET"],
        "allow_private_network": True,
    }
    lineage = {"transport": {"kind": "file", "path": str(folder / "lineage.jsonl")}}
    delivery = Delivery.model_validate({"webhooks": [hook], "openlineage": lineage})
    return tenant.model_copy(update={"delivery": delivery})


def deliver(tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliver what is pending to both receivers."""
    with hostile_server(lambda *_: make_response(b"", 204)) as server:
        monkeypatch.setenv("HOOK_URL", server.uri)
        for target in configured_targets(tenant, store):
            assert Drain(store, tenant.tenant_id, target).run().outcome == "delivered"
    assert server.requests


def test_the_pipeline_role_suffices_for_a_tenants_whole_life(
    registry: Registry, tenant: Tenant, store: Store, as_pipeline: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    tenant = with_receivers(tenant, registry.scratch, monkeypatch)
    trained = registry.trained_version("churn")
    registry.version("churn", tags={"owner": "ada"})
    registry.version("fraud")
    experiment = registry.client.get_run(str(trained.run_id)).info.experiment_id
    agent = registry.client.create_logged_model(experiment, name="bot", model_type="agent")
    other = tenant.model_copy(update={"tenant_id": "globex"})
    reconcile_tenants(as_pipeline, {"acme": tenant, "globex": other}, now)
    sync(other, as_pipeline)
    other_tenant_rows = {
        table: rows_of_tenant(store, table, "globex") for table in ("canonical_records", "audit_trail")
    }

    sync(tenant, as_pipeline)
    deliver(tenant, as_pipeline, monkeypatch)
    registry.client.set_model_version_tag("churn", "2", "owner", "grace")
    registry.client.set_registered_model_alias("churn", "champion", "2")
    registry.client.delete_registered_model("fraud")
    registry.client.set_logged_model_tags(agent.model_id, {"owner": "grace"})
    path = registry.scratch / "model.pkl"
    path.write_bytes(b"other bytes")
    waived = {
        "rule": "owner",
        "model": "fraud",
        "approver": "Ada",
        "reason": "A pilot, to be continued",
        "expires": now.date(),
    }
    grant_waiver(as_pipeline, tenant, Waiver.model_validate(waived), now)
    registry.client.log_artifact(trained.run_id, str(path), "model")
    with as_pipeline.begin("acme") as session:
        change_hints.record(session, [HintedObject(ObjectKind.MODEL, "churn", 2)], now)
        change_hints.record_missed(session, now)
    sync(tenant, as_pipeline, SyncOptions(reconcile=True, rehash=True))
    removed_tenants = reconcile_tenants(as_pipeline, {"globex": other}, now)

    with as_pipeline.begin("acme") as session:
        tenancy.set_poll_watermark(session, 1, now)
        assert tenancy.poll_watermark(session) == (True, 1)
    assert removed_tenants == ["acme"]
    assert overview(as_pipeline, "acme", {}, now).versions == 2
    # There are no prompts, no logged models and no deliveries here. The hint was settled, nobody signs, and pipelines
    # do not grant access. Every other table was written.
    assert [table for table in role_grants.PIPELINE_PRIVILEGES if not rows_of_tenant(store, table, "acme")] == [
        "prompts",
        "prompt_versions",
        "logged_models",
        "delivery_ledger",
        "change_hints",
        "webhook_deliveries",
        "audit_checkpoints",
        "checkpoint_receipts",
        "prompt_version_history",
        "role_grants",
    ]
    assert {table: rows_of_tenant(store, table, "globex") for table in other_tenant_rows} == other_tenant_rows


def test_a_sync_in_progress_does_not_restore_an_erased_tenant(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.version("churn")

    def erase_between_two_stages() -> None:
        with Sync(tenant, store) as run:
            run.run(Stage.REGISTERED_MODELS)
            erase(store, "acme", datetime.now(UTC))
            run.run(Stage.MODEL_VERSIONS)

    with pytest.raises(TenantErasedError, match="acme was erased"):
        erase_between_two_stages()

    assert rows(store, "registered_models") == rows(store, "model_versions") == rows(store, "tenants", "1") == []
    assert [row["kind"] for row in rows(store, "audit_entries")][-2:] == ["tenant erased", "sync ended"]
