"""The audit trail's table: entries are added and read, never changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, insert, select, text

from verifywise_mlflow.audit.chain import Link, linked
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.persistence.codec import from_stored, to_stored
from verifywise_mlflow.persistence.rows import columns_of
from verifywise_mlflow.persistence.tables import audit_trail


def append(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Add entries in their order, each to the end of its tenant's chain.

    Who appends holds the tenant's chain until the transaction ends, so that two processes do not both write the same
    next link.
    """
    by_tenant: dict[str, list[AuditEntry]] = {}
    for entry in entries:
        by_tenant.setdefault(entry.tenant_id, []).append(entry)
    for tenant_id, of_tenant in sorted(by_tenant.items()):
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": f"verifywise trail {tenant_id}"}
        )
        link = last_link(connection, tenant_id)
        rows = []
        for entry in of_tenant:
            link = linked(_told(entry), link)
            rows.append(
                {"tenant_id": tenant_id, "sequence": link.sequence, "entry": link.text, "entry_hash": link.hash}
            )
        connection.execute(insert(audit_trail), rows)


def last_link(connection: Connection, tenant_id: str) -> Link | None:
    """Return the end of the tenant's chain."""
    table = audit_trail
    row = connection.execute(
        select(table.c.sequence, table.c.entry, table.c.entry_hash)
        .where(table.c.tenant_id == tenant_id)
        .order_by(table.c.sequence.desc())
        .limit(1)
    ).first()
    return None if row is None else Link(*row)


def entries(connection: Connection, tenant_id: str, *, limit: int = 100) -> list[AuditEntry]:
    """Return the tenant's newest entries, the newest first."""
    table = audit_trail
    rows = connection.scalars(
        select(table.c.entry).where(table.c.tenant_id == tenant_id).order_by(table.c.sequence.desc()).limit(limit)
    )
    return [_entry(row) for row in rows]


def _told(entry: AuditEntry) -> dict[str, object]:
    # As Postgres can keep it, so that the view can take it apart.
    told = columns_of(entry)
    told["occurred_at"] = entry.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
    return {name: to_stored(value) for name, value in told.items()}


def _entry(written: str) -> AuditEntry:
    told = from_stored(json.loads(written))
    assert isinstance(told, dict)  # only append writes them
    del told["sequence"], told["previous_hash"]
    told["occurred_at"] = datetime.fromisoformat(str(told["occurred_at"]))  # type: ignore[assignment]  # a time again
    return AuditEntry(**told)  # type: ignore[arg-type]  # the names are the entry's fields
