"""Hints from MLflow's webhooks: which objects a sync is to read again, and whether the webhooks are alive.

A hint is not evidence: only the object's kind, name and version number are stored from an event. All events of one
object become one hint. The number of a tenant's hints is limited: beyond the limit, one hint to list the whole registry
replaces them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Select, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from verifywise_mlflow.persistence.notifications import notify
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import change_hints, revisions, webhook_deliveries, webhook_status

CHANNEL: Final = "verifywise_mlflow_change_hints"
"""The Postgres channel for notifications of new hints. They name no tenant: every role that can connect may listen."""

MAX_HINTS: Final = 200
"""The maximum number of hints of a tenant. One hint for the whole registry replaces a larger number of hints, since
reading the registry then costs less."""

REPLAY_WINDOW: Final = timedelta(minutes=15)
"""The minimum time for which a delivery is remembered. It is longer than a signature is valid, even if the clocks
differ."""


class ObjectKind(StrEnum):
    """The kind of object that a hint names."""

    MODEL = "model"
    PROMPT = "prompt"
    REGISTRY = "registry"
    """No single object: the whole registry must be listed."""


@dataclass(frozen=True, slots=True, order=True)
class HintedObject:
    """An object to read again."""

    kind: ObjectKind
    name: str = ""
    version_number: int = 0
    """0 for the model or prompt itself."""


REGISTRY: Final = HintedObject(ObjectKind.REGISTRY)


@dataclass(frozen=True, slots=True)
class ChangeHint:
    """A hint that no sync has followed yet."""

    object: HintedObject
    revision: int
    """A new number for each event of the object."""
    first_received_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class TenantHints:
    """The hints of one tenant."""

    tenant_id: str
    newest_revision: int
    oldest_received_at: datetime
    newest_received_at: datetime


@dataclass(frozen=True, slots=True)
class WebhookStatus:
    """The times that show whether a tenant's webhooks are alive."""

    last_delivery_at: datetime | None = None
    """When the last delivery with a valid signature arrived. Test calls count, but repeated deliveries do not."""
    last_event_at: datetime | None = None
    """When the last of these deliveries arrived that was not a test call."""
    last_missed_at: datetime | None = None
    """When polling last found a change that no delivery had reported."""


def record(session: TenantSession, objects: Collection[HintedObject], now: datetime) -> None:
    """Add hints. As soon as the transaction commits, notify the sessions that wait for hints."""
    if not objects:
        return
    table = change_hints
    _upsert(session, sorted(set(objects)), now)
    is_of_tenant = table.c.tenant_id == session.tenant_id
    if (session.scalar(select(func.count()).select_from(table).where(is_of_tenant)) or 0) > MAX_HINTS:
        session.execute(delete(table).where(is_of_tenant))
        _upsert(session, [REGISTRY], now)
    notify(session.connection, CHANNEL)


def _upsert(session: TenantSession, objects: Sequence[HintedObject], now: datetime) -> None:
    rows = [
        {
            "tenant_id": session.tenant_id,
            "object_kind": item.kind.value,
            "object_name": item.name,
            "version_number": item.version_number,
            "first_received_at": now,
            "received_at": now,
        }
        for item in objects
    ]
    session.execute(
        insert(change_hints)
        .values(rows)
        .on_conflict_do_update(
            index_elements=[column.name for column in change_hints.primary_key],
            set_={"received_at": now, "revision": revisions.next_value()},
        )
    )


def pending(session: TenantSession) -> list[ChangeHint]:
    """Return the tenant's hints, by object."""
    table = change_hints
    rows = session.execute(
        select(
            *(table.c.object_kind, table.c.object_name, table.c.version_number),
            *(table.c.revision, table.c.first_received_at, table.c.received_at),
        ).where(table.c.tenant_id == session.tenant_id)
    )
    hints = [
        ChangeHint(HintedObject(ObjectKind(kind), name, number), *times_and_revision)
        for kind, name, number, *times_and_revision in rows
    ]
    return sorted(hints, key=lambda hint: hint.object)


def settle(session: TenantSession, hints: Collection[ChangeHint]) -> None:
    """Remove hints that a sync has followed. A hint stays if another event of its object has arrived since."""
    if not hints:
        return
    table = change_hints
    key = tuple_(table.c.object_kind, table.c.object_name, table.c.version_number, table.c.revision)
    followed = [(hint.object.kind.value, hint.object.name, hint.object.version_number, hint.revision) for hint in hints]
    session.execute(delete(table).where(table.c.tenant_id == session.tenant_id, key.in_(followed)))


def newest_pending(tenant_id: str) -> Select[tuple[int | None]]:
    """Return the query for the newest revision of a tenant's hints. Run it before a listing begins.

    A change happens before its hint gets a revision, so the listing covers the newest hint and all hints with lower
    revisions.
    """
    return select(func.max(change_hints.c.revision)).where(change_hints.c.tenant_id == tenant_id)


def settle_up_to(session: TenantSession, revision: int) -> None:
    """Remove the hints that a complete listing of the registry covers."""
    table = change_hints
    session.execute(delete(table).where(table.c.tenant_id == session.tenant_id, table.c.revision <= revision))


def tenants_with_hints(connection: Connection) -> list[TenantHints]:
    """Return the tenants that have hints. A pipeline's role sees the hints of all tenants."""
    table = change_hints
    rows = connection.execute(
        select(
            table.c.tenant_id,
            func.max(table.c.revision),
            func.min(table.c.received_at),
            func.max(table.c.received_at),
        )
        .group_by(table.c.tenant_id)
        .order_by(table.c.tenant_id)
    )
    return [TenantHints(*row) for row in rows]


def is_new_delivery(session: TenantSession, delivery_id: str, objects: Collection[HintedObject], now: datetime) -> bool:
    """Remember a delivery and the objects that it names; return False if the delivery was remembered already."""
    table = webhook_deliveries
    session.execute(
        delete(table).where(table.c.tenant_id == session.tenant_id, table.c.received_at < now - REPLAY_WINDOW)
    )
    added = session.execute(
        insert(table)
        .values(
            tenant_id=session.tenant_id,
            delivery_id=delivery_id,
            received_at=now,
            object_names=sorted({item.name for item in objects}),
        )
        .on_conflict_do_nothing()
    )
    return added.rowcount == 1


def names_reported_since(session: TenantSession, since: datetime) -> set[str]:
    """Return the models and prompts that deliveries have named since a time within ``REPLAY_WINDOW``."""
    table = webhook_deliveries.c
    rows = session.scalars(
        select(table.object_names).where(table.tenant_id == session.tenant_id, table.received_at >= since)
    )
    return {name for names in rows for name in names}


def status(session: TenantSession) -> WebhookStatus:
    """Return the times that show whether the tenant's webhooks are alive."""
    table = webhook_status
    row = session.execute(
        select(table.c.last_delivery_at, table.c.last_event_at, table.c.last_missed_at).where(
            table.c.tenant_id == session.tenant_id
        )
    ).first()
    return WebhookStatus() if row is None else WebhookStatus(*row)


def record_delivery(session: TenantSession, now: datetime, *, is_event: bool) -> None:
    """Record a delivery with a valid signature.

    Args:
        session: the tenant's transaction.
        now: when the delivery arrived.
        is_event: whether the delivery reports a change; a test call does not.
    """
    _write_status(session, {"last_delivery_at": now, **({"last_event_at": now} if is_event else {})})


def record_missed(session: TenantSession, now: datetime) -> None:
    """Record that polling has found a change that a webhook should have reported."""
    _write_status(session, {"last_missed_at": now})


def _write_status(session: TenantSession, values: dict[str, datetime]) -> None:
    statement = insert(webhook_status).values(tenant_id=session.tenant_id, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_=values))
