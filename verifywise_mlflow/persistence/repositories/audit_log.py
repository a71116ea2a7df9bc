"""The audit trail's tables: entries and checkpoints are added and read, never changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from datetime import UTC, datetime

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_if_new
from sqlalchemy.exc import DataError

from verifywise_mlflow.audit.chain import ChainLink, make_link
from verifywise_mlflow.audit.checkpoint import Checkpoint, parse_claim
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.audit.verification import AnchoredCheckpoint
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.pg_text_codec import from_stored, to_stored
from verifywise_mlflow.persistence.row_mapping import columns_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import audit_checkpoints, audit_trail, tenants

CURSOR_PAGE_SIZE = 2_000
"""Rows that a cursor on the server hands out at a time: memory holds no more of a trail, however long it is."""


_REQUIRED = [one.name for one in fields(AuditEntry) if one.default is MISSING and one.default_factory is MISSING]


class DamagedEntryError(DatabaseError):
    """An entry is none that this program wrote."""


def append(session: TenantSession, entries: Sequence[AuditEntry]) -> None:
    """Append entries, in their order, to the end of the tenant's chain.

    Who appends holds the tenant's chain until the transaction ends, so that two processes do not both write the same
    next link. So it comes last in its transaction: what else would be locked afterwards could wait for the chain.
    """
    if not entries:
        return
    if any(entry.tenant_id != session.tenant_id for entry in entries):
        raise ValueError(f"an entry belongs to another tenant than the session's, {session.tenant_id!r}")
    lock = f"verifywise_mlflow trail {session.tenant_id}"
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": lock})
    link = head(session)
    rows = []
    for entry in entries:
        link = make_link(_told(entry), link)
        rows.append(
            {"tenant_id": entry.tenant_id, "sequence": link.sequence, "entry": link.text, "entry_hash": link.hash}
        )
    session.execute(insert(audit_trail), rows)


def append_checkpoint(session: TenantSession, checkpoint: Checkpoint) -> None:
    """Keep a checkpoint beside the chain that it speaks of. Two of the same second are one: they are the same text."""
    claim = parse_claim(checkpoint)
    kept = {
        "tenant_id": claim.tenant_id,
        "sequence": claim.sequence,
        "checkpoint": checkpoint.text,
        "signature": checkpoint.signature,
    }
    session.execute(insert_if_new(audit_checkpoints).values(kept).on_conflict_do_nothing())


def head(session: TenantSession) -> ChainLink | None:
    """Return the last link of the tenant's chain."""
    table = audit_trail
    row = session.execute(
        select(table.c.sequence, table.c.entry, table.c.entry_hash)
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(table.c.sequence.desc())
        .limit(1)
    ).first()
    return None if row is None else ChainLink(*row)


def links(session: TenantSession) -> Iterator[ChainLink]:
    """Go through the tenant's chain from its beginning. The query runs when the first link is asked for."""
    table = audit_trail
    rows = session.execute(
        select(table.c.sequence, table.c.entry, table.c.entry_hash)
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(table.c.sequence)
        .execution_options(yield_per=CURSOR_PAGE_SIZE)
    )
    for sequence, entry, entry_hash in rows:
        yield ChainLink(sequence, entry, entry_hash)


def checkpoints(session: TenantSession) -> Iterator[AnchoredCheckpoint]:
    """Go through the tenant's checkpoints in the order of what they speak of.

    The query runs at once: those that are found speak of entries that a later query finds, too.
    """
    table = audit_checkpoints
    rows = session.execute(
        select(table.c.sequence, table.c.checkpoint, table.c.signature)
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(table.c.sequence, table.c.signature)
        .execution_options(yield_per=CURSOR_PAGE_SIZE)
    )
    return (AnchoredCheckpoint(sequence, Checkpoint(checkpoint, signature)) for sequence, checkpoint, signature in rows)


def is_expected(session: TenantSession) -> bool:
    """Whether there is to be a trail: the first thing that is written of a tenant has its entry."""
    known = select(tenants.c.tenant_id).where(tenants.c.tenant_id == session.tenant_id)
    return session.scalar(known) is not None


def entries(
    session: TenantSession,
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
    query = select(table.c.sequence, table.c.entry).where(table.c.tenant_id == session.tenant_id)
    if kind is not None:
        query = query.where(table.c.kind == kind)
    if since is not None:
        query = query.where(text("(entry::jsonb ->> 'occurred_at')::timestamptz >= :since").bindparams(since=since))
    try:
        rows = session.execute(query.order_by(table.c.sequence.desc()).limit(limit))
    except DataError:
        raise _damaged(session.tenant_id, "an entry's time") from None
    return [(sequence, _entry(session.tenant_id, sequence, written)) for sequence, written in rows]


def length(session: TenantSession) -> int:
    """Return the last sequence of the tenant's chain."""
    last = select(func.max(audit_trail.c.sequence)).where(audit_trail.c.tenant_id == session.tenant_id)
    return session.scalar(last) or 0


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
