"""The tenants, when each of their stages was last refreshed, and the watermark of their polls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import poll_watermarks, stage_refreshes, tenants


def activate(
    session: TenantSession, tracking_uri: str, workspace: str | None, now: datetime
) -> Literal["new", "inactive"] | None:
    """Mark a tenant as active, at this address; return the tenant's former state, or None if it was active already."""
    described = {"tracking_uri": tracking_uri, "workspace": workspace}
    stored = session.execute(
        select(tenants.c.tracking_uri, tenants.c.workspace).where(
            tenants.c.tenant_id == session.tenant_id, tenants.c.deactivated_at.is_(None)
        )
    ).first()
    if stored == (tracking_uri, workspace):  # as in nearly every sync
        return None
    row = {"tenant_id": session.tenant_id, "first_seen_at": now, **described}
    # Of two concurrent transactions, the second waits here for the first and then changes nothing.
    is_new = session.scalar(insert(tenants).values(row).on_conflict_do_nothing().returning(tenants.c.tenant_id))
    is_back = session.scalar(
        update(tenants)
        .where(tenants.c.tenant_id == session.tenant_id, tenants.c.deactivated_at.is_not(None))
        .values(deactivated_at=None)
        .returning(tenants.c.tenant_id)
    )
    differs = tenants.c.tracking_uri.is_distinct_from(tracking_uri) | tenants.c.workspace.is_distinct_from(workspace)
    session.execute(update(tenants).where(tenants.c.tenant_id == session.tenant_id, differs).values(described))
    if is_new:
        return "new"
    return "inactive" if is_back else None


def deactivate(session: TenantSession, now: datetime) -> str | None:
    """Mark a tenant as inactive; its data and history stay. Return its tracking URI, or None if it was not active."""
    uri: str | None = session.scalar(
        update(tenants)
        .where(tenants.c.tenant_id == session.tenant_id, tenants.c.deactivated_at.is_(None))
        .values(deactivated_at=now)
        .returning(tenants.c.tracking_uri)
    )
    return uri


class TenantErasedError(DatabaseError):
    """A tenant was erased while it was being synced."""

    def __init__(self, tenant_id: str) -> None:
        super().__init__(f"{tenant_id} was erased during its sync: nothing more of it is stored")


def active_tenants(connection: Connection) -> set[str]:
    """Return the active tenants."""
    return set(connection.scalars(select(tenants.c.tenant_id).where(tenants.c.deactivated_at.is_(None))))


@dataclass(frozen=True, slots=True)
class StageRefresh:
    """When a stage last completed."""

    refreshed_at: datetime
    reconciled_at: datetime | None
    """When the stage last read every object again. Stages have this time if they otherwise read only changed
    objects."""


def stage_refreshes_of(session: TenantSession) -> dict[str, StageRefresh]:
    """Return the times of the tenant's stages, by stage."""
    table = stage_refreshes
    rows = session.execute(
        select(table.c.stage, table.c.refreshed_at, table.c.reconciled_at).where(table.c.tenant_id == session.tenant_id)
    )
    return {stage: StageRefresh(refreshed_at, reconciled_at) for stage, refreshed_at, reconciled_at in rows}


def record_refresh(session: TenantSession, stage: str, sync_id: str, now: datetime, *, reconciled: bool) -> None:
    """Record that a stage completed."""
    statement = insert(stage_refreshes).values(
        tenant_id=session.tenant_id,
        stage=stage,
        refreshed_at=now,
        reconciled_at=now if reconciled else None,
        sync_id=sync_id,
    )
    new = statement.excluded
    replaced = {
        "refreshed_at": new.refreshed_at,
        "reconciled_at": func.coalesce(new.reconciled_at, stage_refreshes.c.reconciled_at),
        "sync_id": new.sync_id,
    }
    session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "stage"], set_=replaced))


def poll_watermark(session: TenantSession) -> tuple[bool, int | None]:
    """Return whether there is a watermark, and its newest version time, in milliseconds since 1970."""
    row = session.execute(
        select(poll_watermarks.c.newest_version_time).where(poll_watermarks.c.tenant_id == session.tenant_id)
    ).first()
    return (False, None) if row is None else (True, row[0])


def set_poll_watermark(session: TenantSession, newest: int | None, now: datetime) -> None:
    """Set the newest version time, in milliseconds since 1970. An equal value is not written again."""
    statement = insert(poll_watermarks).values(tenant_id=session.tenant_id, newest_version_time=newest, updated_at=now)
    replaced = {"newest_version_time": newest, "updated_at": now}
    differs = poll_watermarks.c.newest_version_time.is_distinct_from(newest)
    session.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_=replaced, where=differs))
