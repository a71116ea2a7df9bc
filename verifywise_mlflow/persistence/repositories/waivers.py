"""Stored waivers.

A waiver is granted once and ends at most once. So the waivers in force at any time can be queried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import ColumnElement, FromClause, and_, cast, func, insert, literal, or_, select, update
from sqlalchemy import Text as PlainText

from verifywise_mlflow.audit.state_leaf import State
from verifywise_mlflow.compliance.waivers import Waiver
from verifywise_mlflow.persistence.locks import lock_tenant
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import WAIVER_COLUMNS, WAIVER_END_COLUMNS, hash_of_row
from verifywise_mlflow.persistence.tables import waivers

Source = Literal["file", "command"]
EndReason = Literal["withdrawn", "expired", "superseded"]
"""``superseded``: the waiver's version was deleted, and another version has its number."""


@dataclass(frozen=True, slots=True)
class StoredWaiver:
    """A waiver, and how and when it was granted and ended."""

    waiver_id: int
    waiver: Waiver
    source: Source
    granted_at: datetime
    sync_id: str
    ended_at: datetime | None
    """When the waiver's end was recorded. After its day of expiry, a waiver is not in force even if its end is not
    recorded."""
    end_reason: EndReason | None

    def is_in_force(self, at: datetime) -> bool:
        """Return whether the waiver was in force at a given time."""
        return self.granted_at <= at < self.waiver.ends_at and (self.ended_at is None or at < self.ended_at)


def lock_waivers(session: TenantSession) -> None:
    """Lock the tenant's waivers until the transaction ends, so that waivers stay as the transaction reads them.

    Raises:
        LockTimeoutError: another transaction locked the waivers for too long.
    """
    lock_tenant(session.connection, session.tenant_id, "waivers")


def insert_waivers(
    session: TenantSession, granted: Sequence[Waiver], source: Source, now: datetime, sync_id: str
) -> None:
    """Store new waivers, and append them to the log of states."""
    rows = [
        {
            "tenant_id": session.tenant_id,
            "rule_id": waiver.rule,
            "model": waiver.model,
            "version_number": waiver.version,
            "approver": waiver.approver,
            "reason": waiver.reason,
            "expires_on": waiver.expires,
            "source": source,
            "granted_at": now,
            "sync_id": sync_id,
        }
        for waiver in granted
    ]
    if rows:
        returning = insert(waivers).returning(waivers.c.waiver_id, sort_by_parameter_order=True)
        waiver_ids = session.execute(returning, rows).scalars().all()
        contents = [hash_of_row(waivers, WAIVER_COLUMNS, row) for row in rows]
        state_log.append(
            session,
            [
                State("waiver granted", "", 0, str(waiver_id), now, sync_id, content)
                for waiver_id, content in zip(waiver_ids, contents, strict=True)
            ],
        )


def end_waivers(
    session: TenantSession, waiver_ids: Sequence[int], ended: EndReason, now: datetime, sync_id: str
) -> None:
    """Record that waivers have ended. Waivers whose end is recorded already are left out."""
    if waiver_ids:
        ended_ids = session.scalars(
            update(waivers)
            .where(
                waivers.c.tenant_id == session.tenant_id,
                waivers.c.waiver_id.in_(waiver_ids),
                waivers.c.ended_at.is_(None),
            )
            .values(ended_at=now, end_reason=ended)
            .returning(waivers.c.waiver_id)
        ).all()
        content = hash_of_row(waivers, WAIVER_END_COLUMNS, {"end_reason": ended})
        state_log.append(
            session,
            [State("waiver ended", "", 0, str(waiver_id), now, sync_id, content) for waiver_id in sorted(ended_ids)],
        )


def all_waivers(session: TenantSession) -> list[StoredWaiver]:
    """Return all waivers of the tenant, ended ones included, oldest first."""
    return _select_waivers(session, waivers.c.tenant_id == session.tenant_id)


def unended_waivers(session: TenantSession) -> list[StoredWaiver]:
    """Return the waivers whose end is not recorded. Some of them may have expired."""
    return _select_waivers(session, waivers.c.tenant_id == session.tenant_id, waivers.c.ended_at.is_(None))


def waivers_in_force(session: TenantSession, at: datetime) -> list[StoredWaiver]:
    """Return the waivers that were in force at a given time, oldest first."""
    return [stored for stored in all_waivers(session) if stored.is_in_force(at)]


def is_waived(results: FromClause, at: datetime) -> ColumnElement[bool]:
    """Return the condition that a waiver in force at a given time covers a verdict, as ``Waiver.covers`` decides it."""
    day = literal(at.astimezone(UTC).date())
    return (
        select(waivers.c.waiver_id)
        .where(
            is_in_scope(results),
            and_(waivers.c.granted_at <= at, waivers.c.expires_on >= day),
            or_(waivers.c.ended_at.is_(None), waivers.c.ended_at > at),
        )
        .exists()
    )


def is_in_scope(results: FromClause) -> ColumnElement[bool]:
    """Return the condition that a verdict is in a waiver's scope, whether the waiver is in force or not."""
    # LIKE has % for any characters, _ for one character, and \ as the escape.
    pattern: ColumnElement[str] = cast(waivers.c.model, PlainText)
    for character, replacement in (("\\", "\\\\"), ("%", "\\%"), ("_", "\\_"), ("*", "%"), ("?", "_")):
        pattern = func.replace(pattern, character, replacement, type_=PlainText())
    return and_(
        waivers.c.tenant_id == results.c.tenant_id,
        waivers.c.rule_id == results.c.rule_id,
        cast(results.c.model_name, PlainText).like(pattern),
        or_(waivers.c.version_number.is_(None), waivers.c.version_number == results.c.version_number),
    )


def _select_waivers(session: TenantSession, *conditions: ColumnElement[bool]) -> list[StoredWaiver]:
    query = select(waivers).where(*conditions).order_by(waivers.c.waiver_id)
    return [_waiver_from_row(dict(row)) for row in session.execute(query).mappings()]


def _waiver_from_row(row: Mapping[str, object]) -> StoredWaiver:
    columns = {"rule": "rule_id", "model": "model", "version": "version_number", "expires": "expires_on"}
    # The waiver is not validated: the limits of this release must not hide a waiver that another release accepted.
    waiver = Waiver.model_construct(
        **{name: row[column] for name, column in columns.items()},  # type: ignore[arg-type]  # the columns' types
        approver=row["approver"],
        reason=row["reason"],
    )
    names = ("waiver_id", "source", "granted_at", "sync_id", "ended_at", "end_reason")
    return StoredWaiver(waiver=waiver, **{name: row[name] for name in names})  # type: ignore[arg-type]
