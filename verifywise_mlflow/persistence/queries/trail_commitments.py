"""Reads the commitments in the audit trail, and the log of states that they commit, to verify them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, starmap
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import DataError

from verifywise_mlflow.audit.accepted_states import ACCEPTED, parse_accepted
from verifywise_mlflow.audit.entry import STATES
from verifywise_mlflow.audit.log_verification import Commitment, Leaf
from verifywise_mlflow.audit.merkle import Frontier, root_of
from verifywise_mlflow.audit.state_leaf import model_leaf
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_FETCH
from verifywise_mlflow.persistence.queries.committed_states import newest_leaves
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA

_COMMITMENTS: Final = text(
    f"""
    SELECT t.sequence, t.entry, c.size, c.frontier
    FROM {SCHEMA}.audit_trail AS t
    LEFT JOIN {SCHEMA}.state_commitments AS c ON c.tenant_id = t.tenant_id AND c.sequence = t.sequence
    WHERE t.tenant_id = :tenant_id AND t.sequence > :after
      AND (t.entry LIKE '%"{STATES}"%' OR strpos(t.entry, '\\u') > 0)  -- JSON may write a letter as \\u0073
    ORDER BY t.sequence
    """  # noqa: S608  # the schema's name is a constant
).execution_options(yield_per=ROWS_PER_FETCH)
_ERASURES: Final = text(
    f"""
    SELECT sequence, entry FROM {SCHEMA}.audit_trail
    WHERE tenant_id = :tenant_id AND (entry LIKE '%tenant erased%' OR strpos(entry, '\\u') > 0)
    ORDER BY sequence DESC
    """  # noqa: S608  # the schema's name is a constant
).execution_options(yield_per=ROWS_PER_FETCH)
_OTHER_KINDS: Final = text(
    f"""
    SELECT sequence FROM {SCHEMA}.audit_trail
    WHERE tenant_id = :tenant_id AND kind IS DISTINCT FROM entry::jsonb ->> 'kind' ORDER BY sequence LIMIT 100
    """  # noqa: S608  # the schema's name is a constant
)
_UNKNOWN_COMMITMENTS: Final = text(
    f"""
    SELECT c.size, c.sequence FROM {SCHEMA}.state_commitments AS c
    WHERE c.tenant_id = :tenant_id AND NOT EXISTS (
        SELECT FROM {SCHEMA}.audit_trail AS t
        WHERE t.tenant_id = c.tenant_id AND t.sequence = c.sequence AND t.sequence > :after AND t.entry LIKE :pattern
    )
    ORDER BY c.size LIMIT 100
    """  # noqa: S608  # the schema's name is a constant
)
_MODELS: Final = text(
    f"SELECT model_name, root FROM {SCHEMA}.state_models WHERE tenant_id = :tenant_id ORDER BY model_name"  # noqa: S608
).execution_options(yield_per=ROWS_PER_FETCH)
MAX_STALE_MODELS: Final = 100
_PATTERN: Final = f'%"{STATES}":{{%'
_PEAK_BYTES: Final = 32
_MAX_SIZE: Final = 2**63


def export_snapshot(session: TenantSession) -> str:
    """Return the ID of this transaction's snapshot. With it, another transaction sees the same state.

    See ``Store.begin_snapshot``.
    """
    return str(session.scalar(text("SELECT pg_export_snapshot()")))


def last_erasure(session: TenantSession) -> int:
    """Return the number of the entry of the tenant's last erasure, or 0. After an erasure, the log began again.

    The column with the kind of an entry is not used, since no hash covers it.
    """
    for sequence, entry in session.execute(_ERASURES, {"tenant_id": session.tenant_id}):
        if _parsed(entry).get("kind") == "tenant erased":
            return int(sequence)
    return 0


def entries_of_another_kind(session: TenantSession) -> list[int]:
    """Return up to 100 entries whose column ``kind`` is not the kind in their text."""
    try:
        with session.connection.begin_nested():
            return [*session.scalars(_OTHER_KINDS, {"tenant_id": session.tenant_id})]
    except DataError:
        return []  # an entry is not JSON, which the verification of the chain reports


def commitments(session: TenantSession, after: int) -> Iterator[Commitment]:
    """Yield the commitments of the entries after entry ``after``, in their order, each with the stored frontier."""
    for sequence, entry, size, frontier in session.execute(
        _COMMITMENTS, {"tenant_id": session.tenant_id, "after": after}
    ):
        if (commitment := _commitment(sequence, entry, size, frontier)) is not None:
            yield commitment


def malformed_commitments(session: TenantSession, after: int) -> list[int]:
    """Return the entries that name states without committing them in the form in which this program does.

    A verifier of a single proof may accept such an entry.
    """
    rows = session.execute(_COMMITMENTS, {"tenant_id": session.tenant_id, "after": after})
    return [
        row.sequence
        for row in rows
        if _names_states(row.entry) and _commitment(row.sequence, row.entry, row.size, row.frontier) is None
    ]


def unknown_commitments(session: TenantSession, after: int) -> list[tuple[int, int]]:
    """Return the size and entry of up to 100 stored commitments that the trail does not have."""
    parameters = {"tenant_id": session.tenant_id, "after": after, "pattern": _PATTERN}
    return [(size, sequence) for size, sequence in session.execute(_UNKNOWN_COMMITMENTS, parameters)]


def leaves(session: TenantSession) -> Iterator[Leaf]:
    """Return the rows of the log, in the order of their positions."""
    return starmap(Leaf, state_log.states(session))


@dataclass(slots=True)
class CurrentStates:
    """The newest states of all models."""

    models: int
    root: str
    """The root over these states, in hex."""
    stale: Sequence[str]
    """Up to ``MAX_STALE_MODELS`` of the models whose root in ``state_models`` is wrong, missing or superfluous."""


def current_states(session: TenantSession, size: int) -> CurrentStates:
    """Return the root over the newest of the first ``size`` states, and models whose stored root differs.

    ``state_models`` has the roots as of the last commitment, from which the next commitment continues.
    """
    models = Frontier()
    stale: list[str] = []
    stored = iter(session.execute(_MODELS, {"tenant_id": session.tenant_id}))
    row = next(stored, None)
    for name, of_model in groupby(newest_leaves(session, size), key=itemgetter(0)):
        root = root_of(leaf for _, leaf in of_model)
        models.append(model_leaf(name, root))
        while row is not None and row.model_name < name:  # both are sorted by bytes; the log lacks this model
            stale.append(row.model_name)
            row = next(stored, None)
        if row is None or (row.model_name, row.root) != (name, root.hex()):
            stale.append(name)
        if row is not None and row.model_name == name:
            row = next(stored, None)
    if row is not None:
        stale += [row.model_name, *(superfluous.model_name for superfluous in stored)]
    return CurrentStates(models.size, models.root().hex(), stale[:MAX_STALE_MODELS])


def _parsed(entry: str) -> dict[str, Any]:
    """Return an entry; an empty object if it is not an object of JSON."""
    try:
        parsed = json.loads(entry)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _names_states(entry: str) -> bool:
    counts = _parsed(entry).get("counts")
    return isinstance(counts, dict) and STATES in counts


def _commitment(sequence: int, entry: str, size: int | None, frontier: str | None) -> Commitment | None:
    """Return what an entry commits; None if it commits nothing. The verification of the chain checks authenticity."""
    try:
        parsed = json.loads(entry)
        states = parsed["counts"][STATES]
        committed_size, sync_id = states["size"], str(parsed["sync_id"])
        if type(committed_size) is not int or not 0 < committed_size < _MAX_SIZE:
            return None
        accepted, syncs = parse_accepted(states.get(ACCEPTED)), tuple(map(str, states.get("syncs") or ()))
        is_acceptance = parsed["kind"] == "states accepted"
    except (ValueError, OverflowError, KeyError, TypeError):
        return None
    return Commitment(
        sequence,
        sync_id,
        committed_size,
        states.get("root"),
        states.get("models"),
        states.get("current"),
        syncs,
        _peaks(frontier) if frontier is not None and size == committed_size else None,
        accepted,
        is_acceptance,
    )


def _peaks(frontier: str) -> list[bytes] | None:
    try:
        peaks = bytes.fromhex(frontier)
    except ValueError:
        return None
    return [peaks[place : place + _PEAK_BYTES] for place in range(0, len(peaks), _PEAK_BYTES)]
