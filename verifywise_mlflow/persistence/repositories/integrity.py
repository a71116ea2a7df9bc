"""Integrity events: files that changed while their version did not. Append-only."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, insert, select

from verifywise_mlflow.artifacts.integrity import ByteChange, DetectedChange
from verifywise_mlflow.audit.state_leaf import State
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.row_mapping import Key, columns_of, is_one_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import INTEGRITY_COLUMNS, content_id, hash_of_row
from verifywise_mlflow.persistence.tables import integrity_events, model_versions


@dataclass(frozen=True, slots=True)
class IntegrityEvent:
    """A changed file, and the time when it was last read before the change."""

    key: Key
    incarnation: int
    location: str | None
    change: ByteChange
    former_read_at: datetime


def append(session: TenantSession, sync_id: str, events: Sequence[IntegrityEvent], now: datetime) -> None:
    """Append events."""
    if events:
        rows = [
            {
                **columns_of(event.change),
                "tenant_id": session.tenant_id,
                "model_name": event.key[0],
                "version_number": event.key[1],
                "incarnation": event.incarnation,
                "location": event.location,
                "former_read_at": event.former_read_at,
                "seen_at": now,
                "sync_id": sync_id,
            }
            for event in events
        ]
        session.execute(insert(integrity_events), rows)
        contents = [hash_of_row(integrity_events, INTEGRITY_COLUMNS, row) for row in rows]
        state_log.append(
            session,
            [
                State("integrity event", escape(name), number, content_id(content), now, sync_id, content)
                for (name, number), content in zip([event.key for event in events], contents, strict=True)
            ],
        )


def changes_by_key(session: TenantSession, keys: Collection[Key]) -> dict[Key, list[DetectedChange]]:
    """Return the changed files of the given versions in their current incarnation, oldest first."""
    events, versions = integrity_events, model_versions
    same_version = and_(
        versions.c.tenant_id == events.c.tenant_id,
        versions.c.model_name == events.c.model_name,
        versions.c.version_number == events.c.version_number,
        versions.c.incarnation == events.c.incarnation,
    )
    rows = session.execute(
        select(events)
        .join(versions, same_version)
        .where(events.c.tenant_id == session.tenant_id, is_one_of(events, keys))
        .order_by(events.c.event_id)
    ).mappings()
    changes: dict[Key, list[DetectedChange]] = {}
    for row in rows:
        change = ByteChange(
            kind=row["kind"],
            root=row["root"],
            path=row["path"],
            former_sha256=row["former_sha256"],
            sha256=row["sha256"],
            former_size=row["former_size"],
            size=row["size"],
        )
        changes.setdefault((row["model_name"], row["version_number"]), []).append(
            DetectedChange(change, row["seen_at"])
        )
    return changes
