"""Keeps the table of tenants in step with the file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.persistence import tenancy, trail
from verifywise_mlflow.persistence.store import Connection, Store
from verifywise_mlflow.tenants.tenant import Tenant


def keep_in_step(store: Store, described: Mapping[str, Tenant], now: datetime) -> list[str]:
    """Activate the tenants of the file, deactivate those that left it; return the latter. Their data stays."""
    with store.begin(None) as connection:
        left = sorted(tenancy.active_tenants(connection) - set(described))
    for tenant in described.values():
        with store.begin(tenant.tenant_id) as connection:
            activate(connection, tenant, now)
    for tenant_id in left:
        with store.begin(tenant_id) as connection:
            if (uri := tenancy.deactivate(connection, tenant_id, now)) is not None:
                trail.append(connection, [_entry("tenant deactivated", tenant_id, uri, now)])
    return left


def activate(connection: Connection, tenant: Tenant, now: datetime) -> None:
    """Note a tenant as one that is synced; the trail tells when it was none before."""
    if tenancy.activate(connection, tenant.tenant_id, tenant.tracking_uri, tenant.workspace, now):
        trail.append(connection, [_entry("tenant activated", tenant.tenant_id, tenant.tracking_uri, now)])


def _entry(
    kind: Literal["tenant activated", "tenant deactivated"], tenant_id: str, uri: str, now: datetime
) -> AuditEntry:
    return AuditEntry(
        tenant_id=tenant_id,
        occurred_at=now,
        kind=kind,
        sync_id="",
        source_uri=uri,
        outcome="noted",
        code_version=__version__,
    )
