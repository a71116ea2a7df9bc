"""The events to deliver to webhooks. They are written in the transaction of the change, and deleted after delivery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from verifywise_mlflow.persistence.batch_limits import ROWS_PER_BATCH
from verifywise_mlflow.persistence.bulk_upsert import insert_rows
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import delivery_events
from verifywise_mlflow.tenants.delivery.target_name import TargetName


@dataclass(frozen=True, slots=True)
class WaitingEvent:
    """An event that was not yet delivered to a webhook."""

    event_id: int
    """The number of the row, by which the events of a version are ordered. The body has the event's own ID."""
    body: str


def append(session: TenantSession, target: TargetName, bodies: Sequence[tuple[Key, str]], now: datetime) -> None:
    """Append events of versions for a webhook, in their order."""
    for start in range(0, len(bodies), ROWS_PER_BATCH):
        rows = [
            {"model_name": name, "version_number": number, "body": body}
            for (name, number), body in bodies[start : start + ROWS_PER_BATCH]
        ]
        common = {"tenant_id": session.tenant_id, "target": target, "written_at": now}
        insert_rows(session, delivery_events, rows, common)


def waiting_events(session: TenantSession, target: TargetName, key: Key, limit: int) -> list[WaitingEvent]:
    """Return the oldest events of a version that wait for a webhook, in their order."""
    table = delivery_events
    query = (
        select(table.c.event_id, table.c.body)
        .where(
            table.c.tenant_id == session.tenant_id,
            table.c.target == target,
            table.c.model_name == key[0],
            table.c.version_number == key[1],
        )
        .order_by(table.c.event_id)
        .limit(limit)
    )
    return [WaitingEvent(*row) for row in session.execute(query)]


def remove(session: TenantSession, event: WaitingEvent) -> None:
    """Remove an event that was delivered."""
    table = delivery_events
    session.execute(delete(table).where(table.c.tenant_id == session.tenant_id, table.c.event_id == event.event_id))
