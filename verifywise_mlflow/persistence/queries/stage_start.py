"""Reads what a stage needs to know of its tenant at its start with one statement, since a sync has six stages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import and_, case, func, select, true

from verifywise_mlflow.persistence.repositories import change_hints, config_versions, redaction_epoch, state_log
from verifywise_mlflow.persistence.repositories.tenancy import TenantErasedError
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import history_usage, model_versions, stage_refreshes, tenants

_MAX_CLOCK_SKEW: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class StageStart:
    """The stored state of a tenant and of one of its stages."""

    reconciled_at: datetime | None
    """When the stage last read everything."""
    redaction_digest: str | None
    """The digest of the redaction settings in force; None before the first sync."""
    redacted_since: datetime | None
    """Since when these settings are in force."""
    history_bytes: int
    """The number of bytes that were written to the histories on the day."""
    held_back: int
    """How many changes the tenant's last sync, or this sync so far, held back."""
    newest_version_revision: int | None
    """The newest revision of the stored versions; None if there are none."""
    declared_systems_digest: str | None
    """The digest of the declared AI systems in force; None if none were ever declared."""
    newest_write: datetime | None
    """The newest time among the last states of the log; None before the first state."""
    newest_hint: int | None = None
    """The newest revision of the hints that are pending; None if there are none."""

    def time_of_writes(self, now: datetime) -> datetime:
        """Return the time of the stage's writes: now, or right after the newest stored time if that is slightly later.

        So no state ends before it began, and a sync, a version and a time identify a write. If the stored time is
        further ahead, a wrong clock wrote that time. Then the present clock is used, since one error must not last
        forever.
        """
        if self.newest_write is None or not now < self.newest_write < now + _MAX_CLOCK_SKEW:
            return now
        return self.newest_write.astimezone(UTC) + timedelta(microseconds=1)


def stage_start(session: TenantSession, stage: str, day: date) -> StageStart:
    """Return the state in which a stage begins on a day.

    Raises:
        TenantErasedError: the tenant, which the sync stored when it began, was erased since then.
    """
    usage, refreshes = history_usage, stage_refreshes
    redaction = redaction_epoch.newest(session.tenant_id).lateral("redaction")
    of_tenant = model_versions.c.tenant_id == session.tenant_id
    newest_version = select(func.max(model_versions.c.revision)).where(of_tenant).scalar_subquery()
    newest_write = state_log.newest_write(session.tenant_id).subquery("newest_write")
    is_of_stage = and_(refreshes.c.tenant_id == tenants.c.tenant_id, refreshes.c.stage == stage)
    row = session.execute(
        select(
            *(refreshes.c.reconciled_at, redaction.c.digest, redaction.c.valid_from),
            case((usage.c.day == day, usage.c.bytes_written), else_=0),
            func.coalesce(usage.c.held_back, 0),
            newest_version,
            config_versions.digest_in_force(session.tenant_id, "ai systems").scalar_subquery(),
            newest_write.c.written_at,
            change_hints.newest_pending(session.tenant_id).scalar_subquery(),
        )
        .select_from(
            tenants.outerjoin(redaction, true())
            .outerjoin(newest_write, true())
            .outerjoin(refreshes, is_of_stage)
            .outerjoin(usage, usage.c.tenant_id == tenants.c.tenant_id)
        )
        .where(tenants.c.tenant_id == session.tenant_id)
    ).first()
    if row is None:
        raise TenantErasedError(session.tenant_id)
    return StageStart(*row)
