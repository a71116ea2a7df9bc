"""The audit trail's table: entries are added and read, never changed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.persistence.rows import columns_of
from verifywise_mlflow.persistence.tables import audit_trail


def append(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Add entries in their order."""
    if entries:
        connection.execute(insert(audit_trail), [columns_of(entry) for entry in entries])


def entries(connection: Connection, tenant_id: str, *, limit: int = 100) -> list[AuditEntry]:
    """Return the tenant's newest entries, the newest first."""
    table = audit_trail
    rows = connection.execute(
        select(*(column for column in table.c if column.name != "entry_id"))
        .where(table.c.tenant_id == tenant_id)
        .order_by(table.c.entry_id.desc())
        .limit(limit)
    ).mappings()
    return [AuditEntry(**row) for row in rows]
