"""The audit trail's tables: entries and checkpoints are added and read, never changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from datetime import UTC, datetime

from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_if_new
from sqlalchemy.exc import DataError

from verifywise_mlflow.audit.chain import Link, linked
from verifywise_mlflow.audit.checkpoint import Checkpoint, claim_of
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.audit.verification import Placed
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.pg_text_codec import from_stored, to_stored
from verifywise_mlflow.persistence.row_mapping import columns_of
from verifywise_mlflow.persistence.tables import audit_checkpoints, audit_trail, tenants

READ_AT_ONCE = 2_000
"""Rows that a cursor on the server hands out at a time: memory holds no more of a trail, however long it is."""


_REQUIRED = [one.name for one in fields(AuditEntry) if one.default is MISSING and one.default_factory is MISSING]


class DamagedEntryError(DatabaseError):
    """An entry is none that this program wrote."""


def append(connection: Connection, entries: Sequence[AuditEntry]) -> None:
    """Add entries in their order, each to the end of its tenant's chain.

    Who appends holds the tenant's chain until the transaction ends, so that two processes do not both write the same
    next link. So it comes last in its transaction: what else would be locked afterwards could wait for the chain.
    """
    by_tenant: dict[str, list[AuditEntry]] = {}
    for entry in entries:
        by_tenant.setdefault(entry.tenant_id, []).append(entry)
    for tenant_id, of_tenant in sorted(by_tenant.items()):
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": f"verifywise trail {tenant_id}"}
        )
        link = head(connection, tenant_id)
        rows = []
        for entry in of_tenant:
            link = linked(_told(entry), link)
            rows.append(
                {"tenant_id": tenant_id, "sequence": link.sequence, "entry": link.text, "entry_hash": link.hash}
            )
        connection.execute(insert(audit_trail), rows)


def append_checkpoint(connection: Connection, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint beside the chain that it speaks of. Two of the same second are one: they are the same text."""
    claim = claim_of(checkpoint)
    kept = {
        "tenant_id": claim.tenant_id,
        "sequence": claim.sequence,
        "checkpoint": checkpoint.text,
        "signature": checkpoint.signature,
    }
    connection.execute(insert_if_new(audit_checkpoints).values(kept).on_conflict_do_nothing())


def head(connection: Connection, tenant_id: str) -> Link | None:
    """Return the last link of the tenant's chain."""
    table = audit_trail
    row = connection.execute(
        select(table.c.sequence, table.c.entry, table.c.entry_hash)
        .where(table.c.tenant_id == tenant_id)
        .order_by(table.c.sequence.desc())
        .limit(1)
    ).first()
    return None if row is None else Link(*row)


def links(connection: Connection, tenant_id: str) -> Iterator[Link]:
    """Go through the tenant's chain from its beginning. The query runs when the first link is asked for."""
    table = audit_trail
    rows = connection.execute(
        select(table.c.sequence, table.c.entry, table.c.entry_hash)
        .where(table.c.tenant_id == tenant_id)
        .order_by(table.c.sequence)
        .execution_options(yield_per=READ_AT_ONCE)
    )
    for sequence, entry, entry_hash in rows:
        yield Link(sequence, entry, entry_hash)


def checkpoints(connection: Connection, tenant_id: str) -> Iterator[Placed]:
    """Go through the tenant's checkpoints in the order of what they speak of.

    The query runs at once: those that are found speak of entries that a later query finds, too.
    """
    table = audit_checkpoints
    rows = connection.execute(
        select(table.c.sequence, table.c.checkpoint, table.c.signature)
        .where(table.c.tenant_id == tenant_id)
        .order_by(table.c.sequence, table.c.signature)
        .execution_options(yield_per=READ_AT_ONCE)
    )
    return (Placed(sequence, Checkpoint(checkpoint, signature)) for sequence, checkpoint, signature in rows)


def is_expected(connection: Connection, tenant_id: str) -> bool:
    """Whether there is to be a trail: the first thing that is written of a tenant has its entry."""
    known = select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant_id)
    return connection.scalar(known) is not None


def entries(
    connection: Connection,
    tenant_id: str,
    *,
    limit: int = 100,
    since: datetime | None = None,
    kind: str | None = None,
) -> list[tuple[int, AuditEntry]]:
    """Return the tenant's newest entries with their sequence, the newest first.

    Entries that an older release wrote may be of its kinds: ``sync``, where this one writes ``sync ended``.

    Raises:
        DamagedEntryError: somebody changed one, so that it can no longer be read.
    """
    table = audit_trail
    query = select(table.c.sequence, table.c.entry).where(table.c.tenant_id == tenant_id)
    if kind is not None:
        query = query.where(table.c.kind == kind)
    if since is not None:
        query = query.where(text("(entry::jsonb ->> 'occurred_at')::timestamptz >= :since").bindparams(since=since))
    try:
        rows = connection.execute(query.order_by(table.c.sequence.desc()).limit(limit))
    except DataError:
        raise _damaged(tenant_id, "an entry's time") from None
    return [(sequence, _entry(tenant_id, sequence, written)) for sequence, written in rows]


def length(connection: Connection, tenant_id: str) -> int:
    """Return the last sequence of the tenant's chain."""
    last = select(func.max(audit_trail.c.sequence)).where(audit_trail.c.tenant_id == tenant_id)
    return connection.scalar(last) or 0


def _told(entry: AuditEntry) -> dict[str, object]:
    # As Postgres can keep it, so that the view can take it apart.
    told = columns_of(entry)
    told["occurred_at"] = entry.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
    return {name: to_stored(value) for name, value in told.items()}


def _entry(tenant_id: str, sequence: int, written: str) -> AuditEntry:
    told = from_stored(json.loads(written))
    if not isinstance(told, dict) or not all(isinstance(told.get(name), str) for name in _REQUIRED):
        raise _damaged(tenant_id, f"entry {sequence}")
    try:
        del told["sequence"], told["previous_hash"]
        told["occurred_at"] = datetime.fromisoformat(str(told["occurred_at"]))  # type: ignore[assignment]  # a time again
        return AuditEntry(**told)  # type: ignore[arg-type]  # the names are the entry's fields
    except (KeyError, TypeError, ValueError):
        raise _damaged(tenant_id, f"entry {sequence}") from None


def _damaged(tenant_id: str, what: str) -> DamagedEntryError:
    return DamagedEntryError(
        f"{what} in the trail of {tenant_id!r} is not as it was written: see verifywise-mlflow audit verify"
    )
