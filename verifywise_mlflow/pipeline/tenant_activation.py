"""Reconciles the table of tenants with ``tenants.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry, EntryKind, Outcome
from verifywise_mlflow.persistence.access_entries import entries_of_earlier_access
from verifywise_mlflow.persistence.repositories import audit_log, tenancy
from verifywise_mlflow.persistence.repositories.state_commitments import append_with_states
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.config_versioning import record_tenant_version
from verifywise_mlflow.tenants.tenant import Tenant


def active_tenants(store: Store) -> set[str]:
    """Return the IDs of the tenants that are active in the store."""
    with store.begin_shared() as connection:
        return tenancy.active_tenants(connection)


def reconcile_tenants(store: Store, configured: Mapping[str, Tenant], now: datetime) -> list[str]:
    """Activate the configured tenants; deactivate and return all other tenants, whose data stays."""
    removed = sorted(active_tenants(store) - set(configured))
    for tenant in configured.values():
        with store.begin(tenant.tenant_id) as session:
            activate_tenant(session, tenant, now)
    for tenant_id in removed:
        with store.begin(tenant_id) as session:
            if (uri := tenancy.deactivate(session, now)) is not None:
                audit_log.append(session, [_entry("tenant deactivated", tenant_id, uri, now)])
    return removed


def activate_tenant(session: TenantSession, tenant: Tenant, now: datetime, *, sync_id: str = "") -> None:
    """Mark a tenant as active and record its settings; add audit entries for the changes.

    Outside of a sync, the entry about changed settings commits their state.
    """

    def make_entry(
        kind: EntryKind, outcome: Outcome, *, reason: str | None, counts: Mapping[str, object] | None = None
    ) -> AuditEntry:
        entry = _entry(kind, tenant.tenant_id, tenant.tracking_uri, now)
        return replace(entry, outcome=outcome, sync_id=sync_id, reason=reason, counts=counts or {})

    entries = []
    if former_state := tenancy.activate(session, tenant.tracking_uri, tenant.workspace, now):
        entries.append(make_entry("tenant activated", "noted", reason=None))
    if former_state == "new":
        entries += entries_of_earlier_access(session, tenant.tracking_uri, now)
    changes = record_tenant_version(session, tenant, sync_id, now, make_entry)
    if sync_id:
        audit_log.append(session, [*entries, *changes])
        return
    audit_log.append(session, entries)
    for entry in changes:
        append_with_states(session, entry)


def _entry(kind: EntryKind, tenant_id: str, uri: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        tenant_id=tenant_id,
        occurred_at=now,
        kind=kind,
        sync_id="",
        source_uri=uri,
        outcome="noted",
        code_version=__version__,
    )
