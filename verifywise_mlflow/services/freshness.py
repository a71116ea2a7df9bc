"""How far behind tenants are, by what the store holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.queries.stage_timestamps import standing
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.freshness import StageFreshness, stage_freshness
from verifywise_mlflow.tenants.tenant import Tenant


def stage_ages(session: TenantSession, tenant: Tenant, now: datetime) -> list[StageFreshness]:
    """Return how old each stage of a tenant is, in their order; none of a tenant that the store does not know yet."""
    found = standing(session)
    if found is None:
        return []
    gone_through = {stage.value: found.gone_through.get(stage) for stage in Stage}
    return stage_freshness(gone_through, tenant.intervals, known_since=found.first_seen_at, now=now)


def stale_tenants(
    store: Store, tenants: Iterable[Tenant], now: datetime
) -> Iterator[tuple[Tenant, list[StageFreshness], str]]:
    """Yield each tenant with the ages of its stages and, where one of them is late, with how its last sync ended."""
    for tenant in tenants:
        with store.begin(tenant.tenant_id) as session:
            aged = stage_ages(session, tenant, now)
            is_late = any(age.is_stale for age in aged)
            ended = last_sync_summary(session) if is_late else ""
        yield tenant, aged, ended


def last_sync_summary(session: TenantSession) -> str:
    """Return what the audit trail says of it, in words. They may quote what a server said."""
    try:
        last = audit_log.entries(session, limit=1, kind="sync ended")
    except audit_log.DamagedEntryError as error:
        return str(error)
    if not last:
        return "No sync has ended yet"
    _, entry = last[0]
    said = f": {entry.reason}" if entry.reason else ""
    return f"Its last sync ended at {entry.occurred_at:%Y-%m-%d %H:%M} UTC, {entry.outcome}{said}"
