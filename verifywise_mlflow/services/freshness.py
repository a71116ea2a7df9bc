"""The freshness of each tenant's stored data, per stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.queries.stage_timestamps import stage_timestamps
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.freshness import StageFreshness, stage_freshness
from verifywise_mlflow.tenants.tenant import Tenant


class TenantFreshness(NamedTuple):
    """The freshness of a tenant's stages."""

    tenant: Tenant
    stages: list[StageFreshness]
    """One entry per stage, in order; empty if the store has no entry for the tenant yet."""
    last_sync: str
    """How the tenant's last sync ended, if a stage is stale; otherwise empty."""


def load_stage_freshness(session: TenantSession, tenant: Tenant, now: datetime) -> list[StageFreshness]:
    """Return the freshness of each stage of a tenant, in order; empty if the store has no entry for the tenant yet."""
    timestamps = stage_timestamps(session)
    if timestamps is None:
        return []
    last_completed = {stage.value: timestamps.refreshed_at.get(stage) for stage in Stage}
    return stage_freshness(last_completed, tenant.intervals, known_since=timestamps.first_seen_at, now=now)


def tenants_freshness(store: Store, tenants: Iterable[Tenant], now: datetime) -> Iterator[TenantFreshness]:
    """Yield the freshness of each tenant."""
    for tenant in tenants:
        with store.begin(tenant.tenant_id) as session:
            stages = load_stage_freshness(session, tenant, now)
            is_stale = any(stage.is_stale for stage in stages)
            last_sync = last_sync_summary(session) if is_stale else ""
        yield TenantFreshness(tenant, stages, last_sync)


def last_sync_summary(session: TenantSession) -> str:
    """Return how the tenant's last sync ended, from the audit trail. The text may quote a server's response."""
    try:
        last = audit_log.entries(session, limit=1, kind="sync ended")
    except audit_log.DamagedEntryError as error:
        return str(error)
    if not last:
        return "No sync has ended yet"
    _, entry = last[0]
    reason = f": {entry.reason}" if entry.reason else ""
    return f"Its last sync ended at {entry.occurred_at:%Y-%m-%d %H:%M} UTC, {entry.outcome}{reason}"
