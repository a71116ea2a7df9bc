"""When a tenant's stages last completed, and its new integrity events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import integrity_events, stage_refreshes, tenants


@dataclass(frozen=True, slots=True)
class StageTimestamps:
    """When a tenant was first synced, and when each stage last completed."""

    first_seen_at: datetime
    refreshed_at: Mapping[str, datetime]
    """The time of each stage's last completion, by stage. Stages that never completed are missing."""


@dataclass(frozen=True, slots=True)
class NewIntegrityEvents:
    """The integrity events since the last report."""

    count: int
    newest_event_id: int
    """The id of the newest event."""
    model_name: str
    version_number: int
    path: str
    """The path in the newest event."""


def stage_timestamps(session: TenantSession) -> StageTimestamps | None:
    """Return the timestamps of a tenant; None if there is no such tenant."""
    table = stage_refreshes
    rows = session.execute(
        select(tenants.c.first_seen_at, table.c.stage, table.c.refreshed_at)
        .outerjoin(table, table.c.tenant_id == tenants.c.tenant_id)
        .where(tenants.c.tenant_id == session.tenant_id)
    ).all()
    if not rows:
        return None
    return StageTimestamps(
        rows[0].first_seen_at, {row.stage: row.refreshed_at for row in rows if row.stage is not None}
    )


def new_integrity_events(session: TenantSession, after: int) -> NewIntegrityEvents | None:
    """Summarize the tenant's integrity events after an ID; None if there are none.

    IDs grow within a tenant.
    """
    table = integrity_events
    new = (table.c.tenant_id == session.tenant_id) & (table.c.event_id > after)
    row = session.execute(
        select(
            table.c.event_id,
            table.c.model_name,
            table.c.version_number,
            table.c.path,
            func.count().over().label("events"),
        )
        .where(new)
        .order_by(table.c.event_id.desc())
        .limit(1)
    ).first()
    return (
        None
        if row is None
        else NewIntegrityEvents(row.events, row.event_id, row.model_name, row.version_number, row.path)
    )
