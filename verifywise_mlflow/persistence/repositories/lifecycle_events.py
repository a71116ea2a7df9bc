"""Stored lifecycle events. Append-only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, and_, or_, select

from verifywise_mlflow.audit.state_leaf import State
from verifywise_mlflow.normalizer.lifecycle_event import EventKind, LifecycleEvent
from verifywise_mlflow.persistence.bulk_upsert import insert_rows
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.row_mapping import columns_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import LIFECYCLE_COLUMNS, content_id, hash_of_row
from verifywise_mlflow.persistence.tables import lifecycle_events


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event, the time when it was seen, and the sync that saw it."""

    event: LifecycleEvent
    seen_at: datetime
    sync_id: str


def append(session: TenantSession, sync_id: str, events: Sequence[LifecycleEvent], now: datetime) -> None:
    """Append events, in their order."""
    if events:
        common = {"tenant_id": session.tenant_id, "seen_at": now, "sync_id": sync_id}
        rows = [columns_of(event) for event in events]
        insert_rows(session, lifecycle_events, rows, common)
        contents = [hash_of_row(lifecycle_events, LIFECYCLE_COLUMNS, row) for row in rows]
        state_log.append(
            session,
            [
                State(
                    "lifecycle event",
                    escape(event.model_name),
                    event.version_number or 0,
                    content_id(content),
                    now,
                    sync_id,
                    content,
                )
                for event, content in zip(events, contents, strict=True)
            ],
        )


def lifecycle_events_of(
    session: TenantSession,
    model_name: str | None = None,
    version_number: int | None = None,
    *,
    kind: EventKind | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> list[RecordedEvent]:
    """Return the newest `limit` events, oldest first. A version's events include aliases moved to it or away from it.

    Events that were seen in ``[since, until)`` are returned.
    """
    table = lifecycle_events
    conditions: list[ColumnElement[bool]] = [table.c.tenant_id == session.tenant_id]
    if model_name is not None:
        conditions.append(table.c.model_name == model_name)
    if version_number is not None:
        number = str(version_number)
        is_alias_of_it = and_(
            table.c.kind == EventKind.ALIAS.value, or_(table.c.previous == number, table.c.value == number)
        )
        conditions.append(or_(table.c.version_number == version_number, is_alias_of_it))
    if kind is not None:
        conditions.append(table.c.kind == kind.value)
    if since is not None:
        conditions.append(table.c.seen_at >= since)
    if until is not None:
        conditions.append(table.c.seen_at < until)
    newest = select(table).where(*conditions).order_by(table.c.event_id.desc()).limit(limit)
    rows = session.execute(newest).mappings().all()
    return [recorded_event(row) for row in reversed(rows)]


def recorded_event(row: RowMapping) -> RecordedEvent:
    """Return the event in a row of the table."""
    return RecordedEvent(
        LifecycleEvent(
            kind=EventKind(row["kind"]),
            model_name=row["model_name"],
            version_number=row["version_number"],
            incarnation=row["incarnation"],
            alias=row["alias"],
            previous=row["previous"],
            value=row["value"],
            happened_at=row["happened_at"],
        ),
        row["seen_at"],
        row["sync_id"],
    )
