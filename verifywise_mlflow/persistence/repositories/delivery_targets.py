"""The state of each target of a tenant: its settings, its confirmation, its last delivery and its last error."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import delivery_targets


@dataclass(frozen=True, slots=True)
class TargetState:
    """The state of a target."""

    settings_digest: str
    enqueued_all_at: datetime
    """When the target was last registered: at its first delivery, or when its settings changed. If the target gets
    existing versions, all versions became pending at that time."""
    confirmed_at: datetime | None
    """When deliveries to the target were allowed; None before. A person allowed them, or few entries were new, or the
    target needs no confirmation."""
    waiting_reason: str | None
    """What a person has to confirm; None if a person has to confirm nothing."""
    retry_at: datetime | None
    """The earliest time of the next delivery after an error stopped the last delivery."""
    last_tried_at: datetime | None
    last_delivered_at: datetime | None
    """When a delivery last ended without an error."""
    last_error: str | None
    """Why the last delivery stopped; None if it ended without an error."""


def target_state(session: TenantSession, target: str) -> TargetState | None:
    """Return the state of a target; None before its first delivery."""
    table = delivery_targets.c
    row = session.execute(
        select(
            *(table.settings_digest, table.enqueued_all_at, table.confirmed_at, table.waiting_reason, table.retry_at),
            *(table.last_tried_at, table.last_delivered_at, table.last_error),
        ).where(table.tenant_id == session.tenant_id, table.target == target)
    ).first()
    return None if row is None else TargetState(*row)


def register(
    session: TenantSession, target: str, settings_digest: str, now: datetime, *, confirmed: bool
) -> TargetState:
    """Record a new target, or a target with other settings.

    The target's confirmation and error are reset; the times of its last delivery stay. The delivery ledger stays, too:
    content that it records for a destination is not written to that destination again.
    """
    values = {
        "settings_digest": settings_digest,
        "enqueued_all_at": now,
        "confirmed_at": now if confirmed else None,
        "waiting_reason": None,
        "retry_at": None,
        "last_error": None,
    }
    statement = insert(delivery_targets).values(tenant_id=session.tenant_id, target=target, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "target"], set_=values))
    state = target_state(session, target)
    assert state is not None  # written just now
    return state


def confirm(session: TenantSession, target: str, now: datetime) -> None:
    """Record that all pending versions may be delivered."""
    _update(session, target, confirmed_at=now, waiting_reason=None)


def wait(session: TenantSession, target: str, reason: str, now: datetime) -> None:
    """Record that a person must confirm the delivery before it begins."""
    _update(session, target, waiting_reason=reason, last_tried_at=now, last_error=None, retry_at=None)


def record_success(session: TenantSession, target: str, now: datetime) -> None:
    """Record a delivery that ended without an error."""
    _update(session, target, last_tried_at=now, last_delivered_at=now, last_error=None, retry_at=None)


def record_error(session: TenantSession, target: str, error: str, now: datetime, retry_at: datetime) -> None:
    """Record why a delivery stopped, and when the next delivery may begin."""
    _update(session, target, last_tried_at=now, last_error=error, retry_at=retry_at)


def _update(session: TenantSession, target: str, **values: object) -> None:
    table = delivery_targets
    session.execute(
        update(table).where(table.c.tenant_id == session.tenant_id, table.c.target == target).values(values)
    )
