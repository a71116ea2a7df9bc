"""Verifies the log of states against the trail, and describes the parts that are not as they were committed."""

from __future__ import annotations

from itertools import islice
from typing import Final

from verifywise_mlflow.audit.accepted_states import AcceptedRange
from verifywise_mlflow.audit.log_verification import LogDamage, LogReport, verify_log
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.queries import trail_commitments
from verifywise_mlflow.persistence.repositories import audit_log, state_log
from verifywise_mlflow.persistence.repositories.audit_log import DamagedEntryError
from verifywise_mlflow.persistence.repositories.state_log import Writes
from verifywise_mlflow.persistence.repositories.state_writers import problem_with, writers_since
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.record_verification.report import (
    MAX_DAMAGES,
    AcceptedPart,
    AcceptedState,
    RecordDamage,
)

_NAMED_STATES: Final = 5
"""The maximum number of states that are read to describe a differing part."""


def check_log(session: TenantSession) -> tuple[list[RecordDamage], LogReport]:
    """Return the damages of the log, and the report about the verification of the log."""
    after = trail_commitments.last_erasure(session)
    log = verify_log(
        escape(session.tenant_id), trail_commitments.leaves(session), trail_commitments.commitments(session, after)
    )
    damages = [_log_damage(session, damage) for damage in log.damages]
    for size, sequence in trail_commitments.unknown_commitments(session, after):
        sentence = f"entry {sequence:,} of the trail commits nothing of the kind"
        damages.append(RecordDamage("added", "state_commitments", sentence, row=f"size {size:,}"))
    for sequence in trail_commitments.malformed_commitments(session, after):
        sentence = "the entry names states, but not in the form in which a sync commits them"
        damages.append(RecordDamage("added", "audit_trail", sentence, row=f"entry {sequence:,}"))
    for sequence in trail_commitments.entries_of_another_kind(session):
        sentence = "the column kind is not the kind in the entry's text"
        damages.append(RecordDamage("changed", "audit_trail", sentence, row=f"entry {sequence:,}"))
    if log.last and log.last.current is not None:
        current = trail_commitments.current_states(session, log.last.size)
        if (current.models, current.root) != (log.last.models, log.last.current):
            sentence = f"the newest states of all models are not those that entry {log.last.sequence:,} commits"
            damages.append(RecordDamage("not committed as it is", "state_log", sentence))
        sentence = "the root of the model's newest states is not that of the log"
        damages += [RecordDamage("changed", "state_models", sentence, name) for name in current.stale]
    damages += map(_refused_damage, writers_since(session, log.last.size if log.last else 0).refused)
    return damages, log


def accepted_parts(session: TenantSession, log: LogReport) -> list[AcceptedPart]:
    """Return the states that a person accepted, with the content of the trail's entry about them."""
    return [_accepted_part(session, part) for part in (log.last.accepted if log.last else ())]


def positions(first: int, last: int) -> str:
    """Return a part of the log as words."""
    return f"position {first:,}" if first == last else f"positions {first:,} to {last:,}"


def _accepted_part(session: TenantSession, part: AcceptedRange) -> AcceptedPart:
    states = [
        AcceptedState(position, state.kind, state.model_name, state.version_number, state.written_at, state.sync_id)
        for position, state, _ in islice(state_log.states(session, part.first, part.last + 1), MAX_DAMAGES)
    ]
    try:
        entry = audit_log.entry_at(session, part.entry)
    except (DamagedEntryError, ValueError):  # the verification of the trail reports it
        entry = None
    if entry is None:
        return AcceptedPart(part.entry, part.first, part.last, states=states)
    by = f"{entry.actor.name} as {entry.actor.database_role}" if entry.actor else ""
    return AcceptedPart(part.entry, part.first, part.last, entry.occurred_at, by, entry.reason or "", states)


def _refused_damage(write: Writes) -> RecordDamage:
    sentence = (
        f"{problem_with(write)}: {write.count:,} of the kind {write.kind!r} were added later, or the end of their sync "
        "refused to commit them, which its entry says. audit accept-states commits them in the name of a person"
    )
    row = positions(write.first, write.last)
    return RecordDamage("added", "state_log", sentence, row=row, sync_id=write.sync_id)


def _log_damage(session: TenantSession, damage: LogDamage) -> RecordDamage:
    kinds = {"changed leaf": "changed", "missing leaves": "removed", "frontier": "changed"}
    table = "state_commitments" if damage.kind == "frontier" else "state_log"
    row = positions(damage.first, damage.last)
    sentence, model, version, written_at, sync_id = damage.sentence, "", 0, None, ""
    if damage.kind in ("changed leaf", "root"):
        states = [
            state for _, state, _ in islice(state_log.states(session, damage.first, damage.last + 1), _NAMED_STATES)
        ]
        if states and damage.first == damage.last:
            (state,) = states
            model, version, written_at, sync_id = (
                state.model_name,
                state.version_number,
                state.written_at,
                state.sync_id,
            )
            sentence = f"{sentence}: it is the {state.kind}"
    return RecordDamage(
        kinds.get(damage.kind, "not committed as it is"),  # type: ignore[arg-type]  # one of the words
        table,
        sentence,
        model,
        version,
        row,
        written_at,
        sync_id,
    )
