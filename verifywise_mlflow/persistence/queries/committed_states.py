"""Reads the parts of a proof: the leaves of the log of states, the entry that commits the log, and its checkpoint.

Names are in their stored form: see ``pg_text_codec``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from sqlalchemy import DateTime, bindparam, func, select, text
from sqlalchemy.exc import DataError

from verifywise_mlflow.audit.chain import ChainLink
from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_FETCH
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.pg_text_codec import escape, loads
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA, audit_checkpoints, audit_trail

_COMMITMENT: Final = text(
    f"""
    SELECT sequence, entry, entry_hash
    FROM {SCHEMA}.state_commitments JOIN {SCHEMA}.audit_trail USING (tenant_id, sequence)
    WHERE tenant_id = :tenant_id AND sequence <= :last
      AND (CAST(:at AS timestamptz) IS NULL OR (entry::jsonb ->> 'occurred_at')::timestamptz <= :at)
    ORDER BY sequence DESC LIMIT 1
    """  # noqa: S608  # the schema's name is a constant
).bindparams(bindparam("at", type_=DateTime(timezone=True)))
_FIRST_COMMITMENT: Final = text(
    f"""
    SELECT sequence, entry, entry_hash
    FROM {SCHEMA}.state_commitments JOIN {SCHEMA}.audit_trail USING (tenant_id, sequence)
    WHERE tenant_id = :tenant_id ORDER BY sequence LIMIT 1
    """  # noqa: S608
)
_FIRST_AFTER: Final = text(
    f"""
    SELECT sequence FROM {SCHEMA}.audit_trail
    WHERE tenant_id = :tenant_id AND sequence > :after AND (entry::jsonb ->> 'occurred_at')::timestamptz > :at
    ORDER BY sequence LIMIT 1
    """  # noqa: S608
)
_NEWEST: Final = text(
    f"""
    SELECT DISTINCT ON (model_name, version_number, kind, object_id) model_name, leaf_hash
    FROM {SCHEMA}.state_log WHERE tenant_id = :tenant_id AND position < :size
    ORDER BY model_name, version_number, kind, object_id, position DESC
    """  # noqa: S608
).execution_options(yield_per=ROWS_PER_FETCH)
_MANIFEST: Final = text(
    f"""
    SELECT changed_at, CAST(manifest AS text) FROM {SCHEMA}.artifact_manifests
    WHERE tenant_id = :tenant_id AND model_name = :name AND version_number = :number
    """  # noqa: S608
)
_NO_LIMIT: Final = 2**62


def last_commitment(session: TenantSession, *, at: datetime | None = None, last: int | None = None) -> ChainLink | None:
    """Return the newest entry that commits the log of states; None if there is none.

    Args:
        session: the tenant's transaction.
        at: only entries of this time or earlier.
        last: only entries up to this sequence number.

    Raises:
        DatabaseError: an entry was changed so that its time cannot be read.
    """
    parameters = {"tenant_id": escape(session.tenant_id), "at": at, "last": _NO_LIMIT if last is None else last}
    with readable_trail(session.tenant_id):
        row = session.execute(_COMMITMENT, parameters).first()
    return None if row is None else ChainLink(*row)


def first_commitment(session: TenantSession) -> ChainLink | None:
    """Return the first entry that commits the log of states; None if there is none."""
    row = session.execute(_FIRST_COMMITMENT, {"tenant_id": escape(session.tenant_id)}).first()
    return None if row is None else ChainLink(*row)


def last_entry(session: TenantSession) -> int:
    """Return the number of the last entry; 0 if the trail is empty."""
    table = audit_trail
    return session.scalar(select(func.max(table.c.sequence)).where(table.c.tenant_id == session.tenant_id)) or 0


def first_entry_after(session: TenantSession, sequence: int, at: datetime) -> int | None:
    """Return the first entry after ``sequence`` that is also later than a given time; None if there is none.

    Raises:
        DatabaseError: an entry was changed so that its time cannot be read.
    """
    with readable_trail(session.tenant_id):
        first: int | None = session.scalar(
            _FIRST_AFTER, {"tenant_id": escape(session.tenant_id), "after": sequence, "at": at}
        )
    return first


@contextmanager
def readable_trail(tenant_id: str) -> Iterator[None]:
    """Read entries of a tenant's trail in the block.

    Raises:
        DatabaseError: an entry was changed so that Postgres cannot read its parts.
    """
    try:
        yield
    except DataError:
        raise DatabaseError(
            f"an entry in the trail of {tenant_id!r} is not as it was written: run verifywise-mlflow audit verify"
        ) from None


def newest_leaves(session: TenantSession, size: int) -> Iterator[tuple[str, bytes]]:
    """Yield the newest states among the first ``size`` leaves of the log, in the order of the models' trees.

    Each state comes as the name of its model and its hash.
    """
    rows = session.execute(_NEWEST, {"tenant_id": escape(session.tenant_id), "size": size})
    for page in rows.partitions(ROWS_PER_FETCH):  # yield_per does not limit the pages of a textual query
        for model_name, leaf in page:
            yield model_name, state_log.hash_bytes(leaf)


def links_between(session: TenantSession, first: int, last: int) -> Iterator[ChainLink]:
    """Yield the entries from one sequence number to another, both included."""
    table = audit_trail
    rows = session.execute(
        select(table.c.sequence, table.c.entry, table.c.entry_hash)
        .where(table.c.tenant_id == session.tenant_id, table.c.sequence.between(first, last))
        .order_by(table.c.sequence)
        .execution_options(yield_per=ROWS_PER_FETCH)
    )
    return (ChainLink(*row) for row in rows)


def first_signed(session: TenantSession, from_sequence: int) -> int | None:
    """Return the first entry that a checkpoint signs, from a sequence number on; None if there is no such entry."""
    table = audit_checkpoints
    return session.scalar(
        select(table.c.sequence)
        .where(table.c.tenant_id == session.tenant_id, table.c.sequence >= from_sequence)
        .order_by(table.c.sequence)
        .limit(1)
    )


def last_signed(session: TenantSession) -> int | None:
    """Return the last entry that a checkpoint signs; None if no checkpoint signs any."""
    table = audit_checkpoints
    return session.scalar(
        select(table.c.sequence)
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(table.c.sequence.desc())
        .limit(1)
    )


def checkpoints_of(session: TenantSession, sequence: int) -> list[Checkpoint]:
    """Return the checkpoints that sign an entry, in a fixed order."""
    table = audit_checkpoints
    rows = session.execute(
        select(table.c.checkpoint, table.c.signature)
        .where(table.c.tenant_id == session.tenant_id, table.c.sequence == sequence)
        .order_by(table.c.signature)
    )
    return [Checkpoint(*row) for row in rows]


def manifest_written(session: TenantSession, key: Key) -> tuple[datetime, object] | None:
    """Return a version's manifest and when it was written; None without a manifest. Former manifests are not stored."""
    row = session.execute(_MANIFEST, {"tenant_id": escape(session.tenant_id), "name": key[0], "number": key[1]}).first()
    return None if row is None else (row[0], loads(row[1]))
