"""Accepts states that syncs refuse to commit, after a person has found out how the states came into the log.

A sync commits nothing while the log has states that no sync and no command can have written, or while the stored state
from which commitments continue differs from the trail. Neither condition clears by itself. An acceptance commits the
log as it is in the name of a person, so that later syncs commit again. It hides nothing: it never replaces a
commitment, and each later commitment repeats which states were accepted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.accepted_states import MAX_RANGES, AcceptedRange
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.audit.merkle import Frontier
from verifywise_mlflow.common.untrusted_text import quote, truncate
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.queries import trail_commitments
from verifywise_mlflow.persistence.repositories import audit_log, state_commitments, state_log
from verifywise_mlflow.persistence.repositories.state_commitments import Continuation, UncommittableError
from verifywise_mlflow.persistence.repositories.state_log import Writes
from verifywise_mlflow.persistence.repositories.state_writers import writers_since
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import sign_chain_head

if TYPE_CHECKING:
    from verifywise_mlflow.audit.checkpoint import Checkpoint
    from verifywise_mlflow.audit.keys import Signer

WAIT_SECONDS: Final = 10.0
"""How long a person waits for a stage of a sync, which holds the tenant's lock."""
MAX_NAMED_WRITERS: Final = 20
_MAX_SYNC_ID: Final = 100
_RESTORE: Final = "accepting never replaces what is committed: restore a backup from before the change"


class NothingRefusedError(DatabaseError):
    """There are no refused states: the next sync commits all states by itself."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """States that a person accepted."""

    accepted: AcceptedRange
    count: int
    """The number of accepted states that had been refused. States of a running sync may be between them."""
    writers: Sequence[Writes]
    """The syncs and commands in whose name the refused states were written."""
    checkpoint: Checkpoint | None
    """The checkpoint over the entry; None without a signing key."""


def accept_states(store: Store, tenant_id: str, reason: str, now: datetime, key: Signer | None = None) -> Acceptance:
    """Commit the log as it is, with an entry that names the refused states, the person and the reason.

    Raises:
        NothingRefusedError: no state is refused.
        UncommittableError: the log differs from the trail's commitments, so nothing can continue from it.
        TenantBusyError: a stage of a sync is running.
        SecretUnavailableError: the signing key cannot be used.
    """
    with store.exclusive(tenant_id, wait_seconds=WAIT_SECONDS), store.begin(tenant_id) as session:
        acceptance = accept_in(session, reason, now)
        return replace(acceptance, checkpoint=sign_chain_head(session, key, now) if key else None)


def accept_in(session: TenantSession, reason: str, now: datetime) -> Acceptance:
    """Accept states in a transaction, without a checkpoint. It raises the errors of ``accept_states``."""
    audit_log.lock(session)
    size = state_log.size(session)
    start = _continuation(session, size)
    writers = writers_since(session, start.frontier.size)
    if not writers.refused:
        raise NothingRefusedError(
            f"no state of {quote(session.tenant_id)} is refused: "
            f"{size - start.frontier.size:,} are not committed yet, and the next sync commits them"
        )
    if len(start.accepted) >= MAX_RANGES:
        raise UncommittableError(f"states were accepted {MAX_RANGES} times already: restore a backup")
    if (stored := state_commitments.largest_size(session)) >= size:
        raise UncommittableError(
            f"the database continues from {stored:,} states, which no entry of the trail commits: {_RESTORE}"
        )
    accepted = AcceptedRange(
        min(write.first for write in writers.refused),
        max(write.last for write in writers.refused),
        audit_log.length(session) + 1,
    )
    acceptance = Acceptance(accepted, sum(write.count for write in writers.refused), writers.refused, None)
    commitment = state_commitments.commitment_from(
        session, replace(start, accepted=(*start.accepted, accepted)), size, writers.others
    )
    entry = _entry(session.tenant_id, acceptance, reason, now)
    audit_log.append(session, [replace(entry, counts={**entry.counts, **commitment.counts()})])
    state_commitments.record(session, commitment, accepted.entry)
    return acceptance


def _continuation(session: TenantSession, size: int) -> Continuation:
    """Return the last commitment of the trail, with a frontier that has the committed root."""
    commitments = trail_commitments.commitments(session, trail_commitments.last_erasure(session))
    if not (newest := deque(commitments, maxlen=1)):
        return Continuation(Frontier())
    (last,) = newest
    if size < last.size:
        raise UncommittableError(
            f"the log has {size:,} states, but entry {last.sequence:,} commits {last.size:,}: {_RESTORE}"
        )
    # The stored frontier may be forged. If it does not have the committed root, the frontier is computed from the
    # leaves, and must then have that root.
    frontier = last.verified_frontier() or Frontier().extend(state_log.leaf_hashes(session, 0, last.size))
    if (frontier.size, frontier.root().hex()) != (last.size, last.root):
        raise UncommittableError(f"the log is not what entry {last.sequence:,} of the trail commits: {_RESTORE}")
    return Continuation(frontier, tuple(last.accepted), last.current, last.sequence)


def _entry(tenant_id: str, acceptance: Acceptance, reason: str, now: datetime) -> AuditEntry:
    accepted, named = acceptance.accepted, acceptance.writers[:MAX_NAMED_WRITERS]
    positions = f"positions {accepted.first:,} to {accepted.last:,}"
    return AuditEntry(
        tenant_id=tenant_id,
        occurred_at=now,
        kind="states accepted",
        sync_id="",
        source_uri="",
        outcome="noted",
        code_version=__version__,
        object_kind="states",
        object_name=positions,
        reason=f"{acceptance.count:,} states that no sync committed ({positions}); accepted: {reason}",
        counts={
            "accepted": {
                "first": accepted.first,
                "last": accepted.last,
                "count": acceptance.count,
                "writers": [{**asdict(write), "sync_id": truncate(write.sync_id, _MAX_SYNC_ID)} for write in named],
                "more_writers": len(acceptance.writers) - len(named),
            }
        },
    )
