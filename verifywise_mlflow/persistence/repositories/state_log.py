"""The log of states: every write of a state appends a leaf in the same transaction. Append-only.

Entries of the audit trail commit the roots of the log's tree: see ``state_commitments``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select

from verifywise_mlflow.audit.state_leaf import State, hash_of
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_BATCH, ROWS_PER_FETCH
from verifywise_mlflow.persistence.bulk_upsert import insert_columns, text_form
from verifywise_mlflow.persistence.locks import lock_and_read
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA, state_log

_SIZE = f"SELECT coalesce(max(position) + 1, 0) FROM {SCHEMA}.state_log WHERE tenant_id = %(tenant_id)s"  # noqa: S608
_RECENT = 100
"""The number of last states in which the newest time is searched: more than one, since commands write states between
the states of a sync."""


def append(session: TenantSession, states: Sequence[State]) -> None:
    """Append states, in their order.

    The lock of the audit trail is held until the transaction ends, so that positions have no gaps.

    Raises:
        LockTimeoutError: another transaction held the lock of the audit trail for too long.
    """
    if not states:
        return
    tenant_id = escape(session.tenant_id)
    first = lock_and_read(session.connection, tenant_id, "audit trail", _SIZE)
    assert isinstance(first, int)
    for start in range(0, len(states), ROWS_PER_BATCH):
        _insert(session, first + start, states[start : start + ROWS_PER_BATCH])


def _insert(session: TenantSession, first: int, states: Sequence[State]) -> None:
    tenant_id = escape(session.tenant_id)
    columns: dict[str, Sequence[str]] = {
        "position": [str(position) for position in range(first, first + len(states))],
        "model_name": [state.model_name for state in states],
        "version_number": [str(state.version_number) for state in states],
        "object_id": [state.object_id for state in states],
        "content": [state.content for state in states],
        "leaf_hash": [hash_of(tenant_id, position, state).hex() for position, state in enumerate(states, first)],
    }
    common: dict[str, object] = {"tenant_id": session.tenant_id}
    # States that are written together usually share these values, so they are sent once.
    for name in ("kind", "written_at", "sync_id"):
        values = [getattr(state, name) for state in states]
        if values.count(values[0]) == len(values):
            common[name] = values[0]
        else:
            columns[name] = [*map(text_form(state_log.c[name].type).to_text, values)]
    insert_columns(session, state_log, columns, common)


def size(session: TenantSession) -> int:
    """Return how many states the tenant's log has."""
    last = session.scalar(select(func.max(state_log.c.position)).where(state_log.c.tenant_id == session.tenant_id))
    return 0 if last is None else last + 1


def leaf_hashes(session: TenantSession, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Yield the stored hashes of the leaves from a position on, in their order, up to another position."""
    table = state_log
    query = select(table.c.leaf_hash).where(table.c.tenant_id == session.tenant_id, table.c.position >= start)
    if stop is not None:
        query = query.where(table.c.position < stop)
    pages = session.scalars(query.order_by(table.c.position).execution_options(yield_per=ROWS_PER_FETCH))
    return map(hash_bytes, pages)


def hash_bytes(stored: str) -> bytes:
    """Return a stored hash as bytes; no bytes if the text is not in hex.

    Such a text was forged, and must differ from every hash.
    """
    try:
        return bytes.fromhex(stored)
    except ValueError:
        return b""


@dataclass(frozen=True, slots=True)
class Writes:
    """The states of one kind that one sync wrote."""

    sync_id: str
    """The ID of the sync; empty for commands."""
    kind: str
    first: int
    """The position of the first of these states."""
    last: int
    count: int


def writes(session: TenantSession, start: int) -> list[Writes]:
    """Return which syncs wrote which kinds of states from a position on, in the order of the first states."""
    table, position = state_log, state_log.c.position
    query = (
        select(table.c.sync_id, table.c.kind, func.min(position), func.max(position), func.count())
        .where(table.c.tenant_id == session.tenant_id, position >= start)
        .group_by(table.c.sync_id, table.c.kind)
        .order_by(func.min(position))
    )
    return [Writes(*row) for row in session.execute(query)]


def newest_write(tenant_id: str) -> Select[tuple[datetime]]:
    """Return the query of the newest time among the last states of the log; it is null before the first state."""
    table = state_log
    recent = (
        select(table.c.written_at)
        .where(table.c.tenant_id == tenant_id)
        .order_by(table.c.position.desc())
        .limit(_RECENT)
        .subquery()
    )
    return select(func.max(recent.c.written_at).label("written_at"))


def states(session: TenantSession, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, State, bytes]]:
    """Yield the states in the order of their positions, each with its position and stored leaf hash."""
    table = state_log
    columns = ("position", "kind", "model_name", "version_number", "object_id", "written_at", "sync_id", "content")
    query = select(*(table.c[name] for name in columns), table.c.leaf_hash).where(
        table.c.tenant_id == session.tenant_id, table.c.position >= start
    )
    if stop is not None:
        query = query.where(table.c.position < stop)
    rows = session.execute(query.order_by(table.c.position).execution_options(yield_per=ROWS_PER_FETCH))
    for page in rows.partitions():  # faster than row by row
        for position, *fields, leaf_hash in page:
            yield position, State(*fields), hash_bytes(leaf_hash)
