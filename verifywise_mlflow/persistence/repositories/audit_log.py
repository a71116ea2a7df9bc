"""The audit trail: entries and checkpoints. Append-only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import insert as insert_if_new
from sqlalchemy.exc import DataError

from verifywise_mlflow.audit.actor import Actor
from verifywise_mlflow.audit.chain import ChainLink, make_link
from verifywise_mlflow.audit.checkpoint import Checkpoint, InvalidCheckpointError, parse_claim
from verifywise_mlflow.audit.entry import KINDS_WITH_ACTOR, AuditEntry
from verifywise_mlflow.audit.verification import AnchoredCheckpoint
from verifywise_mlflow.common.os_user import operating_system_user
from verifywise_mlflow.persistence.bulk_upsert import insert_rows
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.locks import lock_tenant
from verifywise_mlflow.persistence.pg_text_codec import from_stored, to_stored
from verifywise_mlflow.persistence.row_mapping import columns_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import audit_checkpoints, audit_trail, tenants

ENTRIES_PER_FETCH = 2_000
"""The number of entries in one fetch from a server-side cursor. It bounds memory for a trail of any length."""


_KEY_ID = re.compile(r"sha256:[0-9a-f]{64}")

_REQUIRED = [
    field.name for field in fields(AuditEntry) if field.default is MISSING and field.default_factory is MISSING
]


class DamagedEntryError(DatabaseError):
    """An entry cannot be parsed, so it was changed after this program wrote it."""


def append(session: TenantSession, entries: Sequence[AuditEntry]) -> int | None:
    """Append entries, in their order, to the end of the tenant's chain; return the last entry's sequence number.

    Without entries, do nothing and return None. Entries about what a person started get the accounts of this process as
    their actor, unless they already have an actor. An entry about access that was granted earlier has the actor who
    granted the access.

    The tenant's chain stays locked until the transaction ends, so that two processes cannot write the same next link.
    This must be the last step of a transaction: a lock that is taken afterwards could deadlock with another append.

    Raises:
        ValueError: an entry belongs to another tenant.
        OversizedEntryError: an entry is longer than ``chain.MAX_ENTRY_BYTES``.
        LockTimeoutError: another transaction locked the chain for too long.
    """
    if not entries:
        return None
    if any(entry.tenant_id != session.tenant_id for entry in entries):
        raise ValueError(f"an entry belongs to another tenant than the session's, {session.tenant_id!r}")
    needs_actor = any(entry.kind in KINDS_WITH_ACTOR and entry.actor is None for entry in entries)
    actor = current_actor(session.connection, session.dagster_user) if needs_actor else None
    lock(session)
    link = head(session)
    rows = []
    for entry in entries:
        if entry.kind in KINDS_WITH_ACTOR and entry.actor is None:
            entry = replace(entry, actor=actor)  # from here on, the entry has its actor
        link = make_link(_entry_fields(entry), link)
        rows.append(
            {"tenant_id": entry.tenant_id, "sequence": link.sequence, "entry": link.text, "entry_hash": link.hash}
        )
    insert_rows(session, audit_trail, rows)
    return link.sequence if link else None


def lock(session: TenantSession) -> None:
    """Keep other transactions from appending to the tenant's chain until this transaction ends.

    Raises:
        LockTimeoutError: another transaction locked the chain for too long.
    """
    lock_tenant(session.connection, session.tenant_id, "audit trail")


def append_checkpoint(session: TenantSession, checkpoint: Checkpoint) -> None:
    """Store a checkpoint. An equal checkpoint, such as one of the same second, is stored once.

    Raises:
        InvalidCheckpointError: the checkpoint's text is malformed.
    """
    claim = parse_claim(checkpoint)
    row = {
        "tenant_id": claim.tenant_id,
        "sequence": claim.sequence,
        "checkpoint": checkpoint.text,
        "signature": checkpoint.signature,
    }
    session.execute(insert_if_new(audit_checkpoints).values(row).on_conflict_do_nothing())


def head(session: TenantSession) -> ChainLink | None:
    """Return the last link of the tenant's chain; None before the first entry."""
    table = audit_trail
    row = session.execute(
        select(table.c.sequence, table.c.entry, table.c.entry_hash)
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(table.c.sequence.desc())
        .limit(1)
    ).first()
    return None if row is None else ChainLink(*row)


def links(session: TenantSession) -> Iterator[ChainLink]:
    """Yield the tenant's chain from its start. The query runs at the first iteration."""
    table = audit_trail
    rows = session.execute(
        select(table.c.sequence, table.c.entry, table.c.entry_hash)
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(table.c.sequence)
        .execution_options(yield_per=ENTRIES_PER_FETCH)
    )
    for sequence, entry, entry_hash in rows:
        yield ChainLink(sequence, entry, entry_hash)


def checkpoints(session: TenantSession) -> Iterator[AnchoredCheckpoint]:
    """Iterate over the tenant's checkpoints in the order of their entries.

    The query runs immediately, so that a later query finds every entry that these checkpoints cover.
    """
    table = audit_checkpoints
    rows = session.execute(
        select(table.c.sequence, table.c.checkpoint, table.c.signature)
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(table.c.sequence, table.c.signature)
        .execution_options(yield_per=ENTRIES_PER_FETCH)
    )
    return (AnchoredCheckpoint(sequence, Checkpoint(checkpoint, signature)) for sequence, checkpoint, signature in rows)


def current_key_ids(session: TenantSession) -> frozenset[str]:
    """Return the ids of the keys that signed the last entry with a checkpoint.

    A key is no longer current if it vouched for its replacement with that checkpoint. Malformed checkpoints are left
    out: ``verify_chain`` reports them.
    """
    table = audit_checkpoints
    of_tenant = table.c.tenant_id == session.tenant_id
    last = select(func.max(table.c.sequence)).where(of_tenant).scalar_subquery()
    rows = session.execute(select(table.c.checkpoint, table.c.signature).where(of_tenant, table.c.sequence == last))
    key_ids = set()
    for row in rows:
        try:
            claim = parse_claim(Checkpoint(*row))
        except InvalidCheckpointError:
            continue
        if claim.next_key is None and _KEY_ID.fullmatch(claim.key_id):
            key_ids.add(claim.key_id)
    return frozenset(key_ids)


def is_expected(session: TenantSession) -> bool:
    """Return whether the tenant must have a trail. The first write of a tenant appends an entry."""
    tenant_row = select(tenants.c.tenant_id).where(tenants.c.tenant_id == session.tenant_id)
    return session.scalar(tenant_row) is not None


def entries(
    session: TenantSession,
    *,
    limit: int = 100,
    since: datetime | None = None,
    kind: str | None = None,
    after: int | None = None,
    untargeted: bool = False,
) -> list[tuple[int, AuditEntry]]:
    """Return the tenant's newest entries with their sequence numbers, newest first.

    Args:
        session: The tenant's transaction.
        limit: The maximum number of entries.
        since: Only entries of this time or later.
        kind: Only entries of this kind.
        after: Only entries with a higher sequence number.
        untargeted: Leave out the entries of targeted syncs.

    Raises:
        DamagedEntryError: an entry was changed so that it cannot be parsed.
    """
    table = audit_trail
    query = select(table.c.sequence, table.c.entry).where(table.c.tenant_id == session.tenant_id)
    if kind is not None:
        query = query.where(table.c.kind == kind)
    if after is not None:
        query = query.where(table.c.sequence > after)
    if untargeted:
        query = query.where(text("entry::jsonb -> 'counts' -> 'only' IS NULL"))
    if since is not None:
        query = query.where(text("(entry::jsonb ->> 'occurred_at')::timestamptz >= :since").bindparams(since=since))
    try:
        rows = session.execute(query.order_by(table.c.sequence.desc()).limit(limit))
    except DataError:
        raise _damaged(session.tenant_id, "an entry's time") from None
    return [(sequence, _entry(session.tenant_id, sequence, serialized)) for sequence, serialized in rows]


def entry_at(session: TenantSession, sequence: int) -> AuditEntry | None:
    """Return the entry with a sequence number; None if there is none.

    Raises:
        DamagedEntryError: the entry was changed so that it cannot be parsed.
    """
    table = audit_trail
    of_entry = (table.c.tenant_id == session.tenant_id, table.c.sequence == sequence)
    serialized = session.scalar(select(table.c.entry).where(*of_entry))
    return None if serialized is None else _entry(session.tenant_id, sequence, serialized)


def length(session: TenantSession) -> int:
    """Return the last sequence number of the tenant's chain; 0 before the first entry."""
    last = select(func.max(audit_trail.c.sequence)).where(audit_trail.c.tenant_id == session.tenant_id)
    return session.scalar(last) or 0


def current_actor(connection: Connection, dagster_user: str | None = None) -> Actor:
    """Return the accounts under which this program writes."""
    # session_user is the role that logged in: SET ROLE changes current_user only.
    role = connection.scalar(text("SELECT session_user"))
    return Actor(operating_system_user(), str(role), dagster_user)


def _entry_fields(entry: AuditEntry) -> dict[str, object]:
    # Escaped, so that Postgres accepts the entry as JSON and the view can parse it.
    parts = columns_of(entry)
    parts["actor"] = entry.actor and columns_of(entry.actor)
    parts["occurred_at"] = entry.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
    return {name: to_stored(value) for name, value in parts.items()}


def _entry(tenant_id: str, sequence: int, serialized: str) -> AuditEntry:
    parts = from_stored(json.loads(serialized))
    if not isinstance(parts, dict) or not all(isinstance(parts.get(name), str) for name in _REQUIRED):
        raise _damaged(tenant_id, f"entry {sequence}")
    try:
        del parts["sequence"], parts["previous_hash"]
        parts["occurred_at"] = datetime.fromisoformat(str(parts["occurred_at"]))  # type: ignore[assignment]  # a time again
        if isinstance(parts.get("actor"), dict):
            parts["actor"] = Actor(**parts["actor"])  # type: ignore[assignment, arg-type]  # its fields by name
        return AuditEntry(**parts)  # type: ignore[arg-type]  # the names are the entry's fields
    except (KeyError, TypeError, ValueError):
        raise _damaged(tenant_id, f"entry {sequence}") from None


def _damaged(tenant_id: str, problem: str) -> DamagedEntryError:
    return DamagedEntryError(
        f"{problem} in the trail of {tenant_id!r} is not as it was written: run verifywise-mlflow audit verify"
    )
