"""Commitments: entries of the audit trail with two roots, one of the log of states and one of all current states.

The log's root is computed without old leaves: the computation continues from the frontier of the last commitment, whose
root is in the trail. So a state that was forged after its commitment never enters a later root of the log, and the next
verification finds it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

from sqlalchemy import func, insert, select, text, true

from verifywise_mlflow.audit.accepted_states import ACCEPTED, AcceptedRange, parse_accepted
from verifywise_mlflow.audit.entry import STATES, AuditEntry, Outcome
from verifywise_mlflow.audit.merkle import Frontier, root_of
from verifywise_mlflow.audit.state_leaf import model_leaf
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_BATCH, ROWS_PER_FETCH
from verifywise_mlflow.persistence.bulk_upsert import upsert_rows
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.locks import lock_tenant
from verifywise_mlflow.persistence.repositories import audit_log, state_log
from verifywise_mlflow.persistence.repositories.state_writers import problem_with, writers_since
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA, audit_trail, state_commitments, state_models
from verifywise_mlflow.persistence.tables import state_log as log_table

_NOT_COMMITTED = "its states are not committed: {problem}. Run verifywise-mlflow audit verify {tenant} --records"

_CURRENT_LEAVES = text(
    f"""
    SELECT DISTINCT ON (model_name, version_number, kind, object_id) model_name, leaf_hash
    FROM {SCHEMA}.state_log
    WHERE tenant_id = :tenant_id AND position < :size AND model_name IN (
        SELECT DISTINCT model_name FROM {SCHEMA}.state_log
        WHERE tenant_id = :tenant_id AND position >= :start AND position < :until
    )
    ORDER BY model_name, version_number, kind, object_id, position DESC
    """  # noqa: S608  # the schema's name is a constant
)
_LATER_COMMITMENT = text(
    f"""
    SELECT max(sequence) FROM {SCHEMA}.audit_trail AS t
    WHERE tenant_id = :tenant_id AND sequence > :after AND entry LIKE '%"{STATES}":{{%'
      AND NOT EXISTS (
          SELECT FROM {SCHEMA}.audit_trail AS e
          WHERE e.tenant_id = t.tenant_id AND e.sequence >= t.sequence AND e.entry LIKE '%"kind":"tenant erased"%'
      )
    """  # noqa: S608  # the schema's name is a constant
)


class UncommittableError(DatabaseError):
    """The log of states differs from the trail, or has states that no sync can have written."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """The parts of the last commitment from which the next one continues."""

    frontier: Frontier
    accepted: tuple[AcceptedRange, ...] = ()
    current: str | None = None
    """The root of the tree of current states, in hex; None before the first commitment."""
    sequence: int = 0
    """The entry of the commitment; 0 before the first one."""


@dataclass(frozen=True, slots=True)
class StateCommitment:
    """The statement of an entry about the states: their number, and two roots with which each state can be proved."""

    size: int
    """The number of states in the log."""
    root: str
    """The root of the log's tree, in hex."""
    models: int
    """The number of names of models, prompts and agents with states; all other states count as one more."""
    current: str
    """The root of the tree of current states, in hex. The leaves are one root of current states for each of these
    names, and one for all other states."""
    syncs: Sequence[str]
    """The other syncs whose states are committed. They are interrupted or under way."""
    accepted: tuple[AcceptedRange, ...]
    """The states that a person accepted, in this commitment and all earlier ones."""
    frontier: Frontier

    def counts(self) -> dict[str, object]:
        """Return the counts for the entry."""
        states: dict[str, object] = {
            "size": self.size,
            "root": self.root,
            "models": self.models,
            "current": self.current,
        }
        if self.syncs:
            states["syncs"] = [*self.syncs]
        if self.accepted:
            states[ACCEPTED] = [part.to_json() for part in self.accepted]
        return {STATES: states}


def append_with_states(session: TenantSession, entry: AuditEntry) -> AuditEntry:
    """Append an entry that commits all states so far, and return it with its commitment.

    If the states cannot be committed, the entry states why, and a complete entry is marked as incomplete.

    Raises:
        ValueError: the entry belongs to another tenant.
        OversizedEntryError: the entry is longer than ``chain.MAX_ENTRY_BYTES``.
        LockTimeoutError: another transaction locked the audit trail for too long.
    """
    try:
        commitment = commit(session, entry.sync_id)
    except UncommittableError as error:
        problem = _NOT_COMMITTED.format(problem=error, tenant=session.tenant_id)
        outcome: Outcome = "incomplete" if entry.outcome == "complete" else entry.outcome
        reason = f"{entry.reason}; {problem}" if entry.reason else problem
        entry = replace(entry, outcome=outcome, reason=reason)
        audit_log.append(session, [entry])
        return entry
    if commitment:
        entry = replace(entry, counts={**entry.counts, **commitment.counts()})
    sequence = audit_log.append(session, [entry])
    if commitment and sequence:
        record(session, commitment, sequence)
    return entry


def commit(session: TenantSession, sync_id: str) -> StateCommitment | None:
    """Return the commitment to all states in the log; None if no state was added since the last commitment.

    The caller puts the commitment into an entry, appends the entry and calls ``record``, all in this transaction.

    Raises:
        UncommittableError: the log differs from the last commitment, or states were added that no sync under way, no
            interrupted sync and no command can have written.
        LockTimeoutError: another transaction locked the audit trail for too long.
    """
    lock_tenant(session.connection, session.tenant_id, "audit trail")
    size, start = _size_and_continuation(session)
    if size == start.frontier.size:
        return None
    # Without this check, a removed row would begin the log again, and the next entry would commit the new one.
    later = session.scalar(_LATER_COMMITMENT, {"tenant_id": session.tenant_id, "after": start.sequence})
    if later:
        raise UncommittableError(f"the database no longer has the states that entry {later:,} of the trail commits")
    writers = writers_since(session, start.frontier.size, sync_id, is_command=not sync_id)
    if writers.refused:
        raise UncommittableError(problem_with(writers.refused[0]))
    return commitment_from(session, start, size, writers.others)


def commitment_from(session: TenantSession, start: Continuation, size: int, others: Sequence[str]) -> StateCommitment:
    """Return the commitment to the first ``size`` states of the log, which continues from a former one.

    Raises:
        UncommittableError: states are missing.
    """
    frontier, first = start.frontier, start.frontier.size
    if size < first:
        raise UncommittableError(f"the log has {size:,} states, but {first:,} were committed")
    frontier.extend(state_log.leaf_hashes(session, first, size))
    if frontier.size != size:
        raise UncommittableError(f"the log has gaps: {frontier.size:,} of {size:,} states are there")
    if start.current is not None:
        _require_current_states(session, start, first, size)
    _store_roots(session, _newest_roots(session, first, size, size))
    roots = [*_model_leaves(session)]
    current = root_of(roots).hex()
    return StateCommitment(size, frontier.root().hex(), len(roots), current, others, start.accepted, frontier)


def record(session: TenantSession, commitment: StateCommitment, sequence: int) -> None:
    """Store which entry of the trail has a commitment, and the state from which the next commitment continues."""
    row = {
        "tenant_id": session.tenant_id,
        "size": commitment.size,
        "sequence": sequence,
        "frontier": b"".join(commitment.frontier.peaks).hex(),
    }
    session.execute(insert(state_commitments).values(row))


def largest_size(session: TenantSession) -> int:
    """Return the number of states in the largest stored commitment; 0 without a commitment."""
    table = state_commitments
    return session.scalar(select(func.max(table.c.size)).where(table.c.tenant_id == session.tenant_id)) or 0


def _size_and_continuation(session: TenantSession) -> tuple[int, Continuation]:
    """Return the size of the log, and the last commitment to continue from, with the root that is in the trail."""
    table, trail, log = state_commitments, audit_trail, log_table
    last = (
        select(table.c.size, table.c.frontier, table.c.sequence)
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(table.c.size.desc())
        .limit(1)
        .lateral("last_commitment")
    )
    entry = select(trail.c.entry).where(trail.c.tenant_id == session.tenant_id, trail.c.sequence == last.c.sequence)
    newest = select(func.max(log.c.position).label("position")).where(log.c.tenant_id == session.tenant_id).subquery()
    row = session.execute(
        select(
            newest.c.position, last.c.size, last.c.frontier, last.c.sequence, entry.scalar_subquery().label("entry")
        ).select_from(newest.outerjoin(last, true()))
    ).one()
    size = 0 if row.position is None else row.position + 1
    if row.size is None:
        return size, Continuation(Frontier())
    problem = (
        f"the states that entry {row.sequence:,} of the trail commits are not those that the database continues from"
    )
    try:
        peaks = bytes.fromhex(row.frontier)
        frontier = Frontier(row.size, [peaks[place : place + 32] for place in range(0, len(peaks), 32)])
        committed = json.loads(row.entry or "{}")["counts"][STATES]
        is_same = (committed["size"], committed["root"]) == (frontier.size, frontier.root().hex())
        accepted = parse_accepted(committed.get(ACCEPTED))
    except (ValueError, KeyError, TypeError):
        raise UncommittableError(problem) from None
    if not is_same:
        raise UncommittableError(problem)
    return size, Continuation(frontier, accepted, committed.get("current"), row.sequence)


def _require_current_states(session: TenantSession, start: Continuation, first: int, size: int) -> None:
    """Make sure that the stored roots of models, from which the next root continues, are those of the last commitment.

    If they differ, they are computed again from the log. Otherwise an entry could commit a model's former states as its
    newest ones.

    Args:
        session: The tenant's transaction.
        start: The last commitment.
        first: The number of states that it has.
        size: The number of states in the log.

    Raises:
        UncommittableError: the newest states in the log are not those that the last commitment has.
    """
    changed = _newest_roots(session, first, size, first)
    stored = {name: root for name, root in _stored_roots(session) if name in changed}
    if stored == changed and root_of(_model_leaves(session)).hex() == start.current:
        return
    _store_roots(session, _newest_roots(session, 0, first, first))
    if root_of(_model_leaves(session)).hex() != start.current:
        raise UncommittableError(
            f"the newest states of the models are not those that entry {start.sequence:,} of the trail commits"
        )


def _newest_roots(session: TenantSession, start: int, until: int, size: int) -> dict[str, str]:
    """Return the root over the newest states of each model that has a state in a part of the log, by name.

    Args:
        session: The tenant's transaction.
        start: The first position of the part.
        until: The position after the part.
        size: The number of states, from the first one on, among which the newest ones are chosen.
    """
    rows = session.execute(
        _CURRENT_LEAVES.execution_options(yield_per=ROWS_PER_FETCH),
        {"tenant_id": session.tenant_id, "start": start, "until": until, "size": size},
    )
    return {
        model_name: root_of(state_log.hash_bytes(leaf) for _, leaf in leaves).hex()
        for model_name, leaves in groupby(rows, key=itemgetter(0))
    }


def _store_roots(session: TenantSession, roots: Mapping[str, str]) -> None:
    rows = [{"tenant_id": session.tenant_id, "model_name": name, "root": root} for name, root in roots.items()]
    for first in range(0, len(rows), ROWS_PER_BATCH):
        upsert_rows(session, state_models, rows[first : first + ROWS_PER_BATCH])


def _stored_roots(session: TenantSession) -> Iterator[tuple[str, str]]:
    """Yield the names of the models with their roots, sorted by name."""
    table = state_models
    rows = session.execute(
        select(table.c.model_name, table.c.root)
        .where(table.c.tenant_id == session.tenant_id)
        .order_by(table.c.model_name)
        .execution_options(yield_per=ROWS_PER_FETCH)
    )
    return ((name, root) for name, root in rows)


def _model_leaves(session: TenantSession) -> Iterator[bytes]:
    """Yield the leaves of the tree over all models, sorted by name."""
    return (model_leaf(name, state_log.hash_bytes(root)) for name, root in _stored_roots(session))
