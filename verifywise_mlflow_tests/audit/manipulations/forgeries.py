"""Hides a changed record as the owner of the database can: everything that depends on the record is computed again.

The changed record and its leaf belong to version 1 of ``credit``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import ColumnElement, Table, delete, func, insert, select, update

from verifywise_mlflow.audit.entry import STATES, AuditEntry
from verifywise_mlflow.audit.merkle import Frontier, root_of
from verifywise_mlflow.audit.state_leaf import State, content_hash, hash_of, model_leaf
from verifywise_mlflow.persistence.repositories import audit_log, state_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import (
    CONFIGURATION_COLUMNS,
    LIFECYCLE_COLUMNS,
    content_id,
    hash_of_row,
    record_content,
)
from verifywise_mlflow.persistence.tables import (
    audit_checkpoints,
    audit_trail,
    canonical_records,
    config_versions,
    lifecycle_events,
    state_commitments,
    state_models,
)
from verifywise_mlflow.persistence.tables import state_log as log_table
from verifywise_mlflow.services.states_acceptance import accept_in
from verifywise_mlflow_tests.audit.manipulations.trail_edits import STRANGER, Trail

Forgery = Callable[[TenantSession], None]

_MODEL, _VERSION = "credit", 1


def adapt_fingerprint(session: TenantSession) -> None:
    """Set the record's fingerprint to the fingerprint of its content."""
    session.execute(
        update(canonical_records).where(*_of_version(canonical_records)).values(fingerprint=_record_hash(session))
    )


def adapt_content_of_leaf(session: TenantSession) -> None:
    """Set the content of the record's newest leaf to the hash of the record."""
    newest = select(func.max(log_table.c.position)).where(*_of_version(log_table), log_table.c.kind == "record")
    session.execute(
        update(log_table)
        .where(log_table.c.tenant_id == session.tenant_id, log_table.c.position == session.scalar(newest))
        .values(content=_record_hash(session))
    )


def adapt_hashes_of_leaves(session: TenantSession) -> None:
    """Set the hash of each leaf to the hash of the leaf's text."""
    for position, state, stored in [*state_log.states(session)]:
        if (right := hash_of(session.tenant_id, position, state)) != stored:
            session.execute(
                update(log_table)
                .where(log_table.c.tenant_id == session.tenant_id, log_table.c.position == position)
                .values(leaf_hash=right.hex())
            )


def adapt_commitments(session: TenantSession) -> None:
    """Compute each stored frontier and the roots of the models' trees from the leaves."""
    leaves = [*state_log.leaf_hashes(session)]
    table = state_commitments
    for size in session.scalars(select(table.c.size).where(table.c.tenant_id == session.tenant_id)).all():
        peaks = Frontier().extend(leaves[:size]).peaks
        session.execute(
            update(table)
            .where(table.c.tenant_id == session.tenant_id, table.c.size == size)
            .values(frontier=b"".join(peaks).hex())
        )

    models = state_models
    for name, root in _model_roots([*state_log.states(session)]).items():
        session.execute(
            update(models)
            .where(models.c.tenant_id == session.tenant_id, models.c.model_name == name)
            .values(root=root.hex())
        )


def adapt_trail(session: TenantSession) -> None:
    """Compute the roots in the entries from the leaves, and compute the chain again. The checkpoints stay."""
    trail = read_trail(session)
    changes = {}
    for link in trail.links:
        counts = json.loads(link.text).get("counts", {})
        if committed := counts.get(STATES):
            states = [*state_log.states(session, 0, committed["size"])]
            roots = {"root": root_of(leaf for _, _, leaf in states).hex(), "current": _current_root(states)}
            changes[link.sequence] = {"counts": {**counts, STATES: {**committed, **roots}}}
    write_trail(session, trail.rebuilt(changes))


def sign_with_another_key(session: TenantSession) -> None:
    """Replace the checkpoints with checkpoints of a key that the auditor does not have."""
    write_trail(session, read_trail(session).signed_again(STRANGER))


def add_leaf_of_newest_event(session: TenantSession) -> None:
    """Append the leaf that a sync appends when it writes an event."""
    row = dict(
        session.execute(select(lifecycle_events).order_by(lifecycle_events.c.event_id.desc())).mappings().first() or {}
    )
    content = hash_of_row(lifecycle_events, LIFECYCLE_COLUMNS, row)
    state = State("lifecycle event", _MODEL, _VERSION, content_id(content), row["seen_at"], row["sync_id"], content)
    state_log.append(session, [state])


def add_leaf_of_oldest_policy(session: TenantSession) -> None:
    """Append the leaf of the version of the policy with the lowest number, as if a command had written it."""
    table = config_versions
    query = select(table).where(table.c.tenant_id == session.tenant_id, table.c.kind == "policy")
    row = dict(session.execute(query.order_by(table.c.config_version_id)).mappings().first() or {})
    content = hash_of_row(table, CONFIGURATION_COLUMNS, row)
    state = State("configuration", "", 0, "policy", row["valid_from"], row["sync_id"], content)
    state_log.append(session, [state])


def accept_states(session: TenantSession) -> None:
    """Accept the states, as a person can with the command, so that syncs commit again."""
    accept_in(session, "nothing to see here", datetime.now(UTC))


def read_trail(session: TenantSession) -> Trail:
    """Return a tenant's trail."""
    return Trail(session.tenant_id, [*audit_log.links(session)], [*audit_log.checkpoints(session)])


def write_trail(session: TenantSession, trail: Trail) -> None:
    """Replace a tenant's trail."""
    for table in (audit_trail, audit_checkpoints):
        session.execute(delete(table).where(table.c.tenant_id == session.tenant_id))
    entries = [
        {"tenant_id": session.tenant_id, "sequence": link.sequence, "entry": link.text, "entry_hash": link.hash}
        for link in trail.links
    ]
    checkpoints = [
        {
            "tenant_id": session.tenant_id,
            "sequence": anchored.sequence,
            "checkpoint": anchored.checkpoint.text,
            "signature": anchored.checkpoint.signature,
        }
        for anchored in trail.checkpoints
    ]
    if entries:
        session.execute(insert(audit_trail), entries)
    if checkpoints:
        session.execute(insert(audit_checkpoints), checkpoints)


def _current_root(states: Sequence[tuple[int, State, bytes]]) -> str:
    return root_of(model_leaf(name, root) for name, root in _model_roots(states).items()).hex()


def _model_roots(states: Sequence[tuple[int, State, bytes]]) -> Mapping[str, bytes]:
    newest = {(state.model_name, state.version_number, state.kind, state.object_id): leaf for _, state, leaf in states}
    models: dict[str, list[bytes]] = {}
    for key in sorted(newest):
        models.setdefault(key[0], []).append(newest[key])
    return {name: root_of(leaves) for name, leaves in models.items()}


def _of_version(table: Table) -> Sequence[ColumnElement[bool]]:
    return (table.c.tenant_id == "acme", table.c.model_name == _MODEL, table.c.version_number == _VERSION)


def _record_hash(session: TenantSession) -> str:
    row = session.execute(select(canonical_records).where(*_of_version(canonical_records))).mappings().one()
    return content_hash(record_content(dict(row)))


def append_entry_that_names_states(session: TenantSession) -> None:
    """Append an entry, as part of the chain, from which a forged proof can begin."""
    roots: dict[str, object] = {"root": "00" * 32, "current": "00" * 32}
    now = datetime.now(UTC)
    entry = AuditEntry("acme", now, "sync ended", "sync-3", "https://mlflow.example", "complete", "1")
    audit_log.append(session, [replace(entry, counts={STATES: roots})])


FORGERIES: Final[Mapping[str, Forgery]] = {
    "adapt the fingerprint": adapt_fingerprint,
    "adapt the content of the leaf": adapt_content_of_leaf,
    "adapt the hashes of leaves": adapt_hashes_of_leaves,
    "adapt the commitments": adapt_commitments,
    "adapt the trail": adapt_trail,
    "sign with another key": sign_with_another_key,
    "add a leaf of the newest event": add_leaf_of_newest_event,
    "add a leaf of the oldest policy": add_leaf_of_oldest_policy,
    "accept the states": accept_states,
    "append an entry that names states": append_entry_that_names_states,
}
"""Each forgery, as ``states.yaml`` names it."""
