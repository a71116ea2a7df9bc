"""Loads the contents of an evidence pack about one version: its dossier, history, rules and audit trail."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from verifywise_mlflow.audit.proof import UnprovableError, VersionProof
from verifywise_mlflow.persistence.pg_text_codec import escape, to_stored
from verifywise_mlflow.persistence.queries import history
from verifywise_mlflow.persistence.queries.history import BadgeState, RecordState, Validity, VerdictState
from verifywise_mlflow.persistence.queries.version_trail import VersionTrail, last_recorded_at, version_trail
from verifywise_mlflow.persistence.repositories import config_versions
from verifywise_mlflow.persistence.repositories.config_versions import ConfigVersion
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services.policy_documents import rule_documents
from verifywise_mlflow.services.proofs import ProvableMoment, provable_moment, prove_version
from verifywise_mlflow.services.system_facts import SystemFacts, system_facts
from verifywise_mlflow.services.version_dossier import VersionDossier, dossier


@dataclass(frozen=True, slots=True)
class PackContents:
    """The contents of a pack about one version as of a given time."""

    dossier: VersionDossier
    facts: SystemFacts
    record_states: Sequence[RecordState]
    """The states of the record up to the pack's time, as they were known at that time, the oldest first. The same
    applies to ``verdict_states`` and to the badges of the dossier."""
    verdict_states: Sequence[VerdictState]
    policy: ConfigVersion | None
    """The policies in force at the pack's time, in full."""
    trail: VersionTrail
    proof: VersionProof | None
    """The proof that the audit trail commits the record and the verdicts."""
    unproved: str
    """Why there is no proof, as a sentence; empty with a proof."""

    @property
    def rule_documents(self) -> Mapping[str, Mapping[str, object]]:
        """The rules in force at the pack's time, by ID, as they were recorded."""
        return rule_documents(self.policy)


@dataclass(frozen=True, slots=True)
class Provability:
    """The moment whose states can be proved, or why there is no such moment. All packs of a given time share it."""

    moment: ProvableMoment | None
    reason: str = ""


def provability(session: TenantSession, at: datetime) -> Provability:
    """Return the moment whose states can be proved for a given time. This reads the whole log of states."""
    try:
        return Provability(provable_moment(session, at))
    except UnprovableError as error:
        return Provability(None, str(error))


def pack_contents(
    session: TenantSession, key: Key, at: datetime | None = None, provable: Provability | None = None
) -> PackContents | None:
    """Return the contents of a pack; None if no sync had seen the version by the given time.

    Without a time, the pack shows the state as of the last entry in the audit trail. So packs are equal until the next
    entry or checkpoint.

    Args:
        session: the tenant's transaction.
        key: the version.
        at: the time.
        provable: the result of ``provability`` for that time, if it was computed before.

    Raises:
        DatabaseError: the audit trail or the policies cannot be read.
    """
    at = at or last_recorded_at(session) or datetime.now(UTC)
    known = dossier(session, key, at)
    if known is None:
        return None
    records = [
        replace(state, span=_as_known(state.span, at))
        for state in history.record_states_of(session, key)
        if state.span.valid_from <= at
    ]
    verdicts = [
        replace(state, span=_as_known(state.span, at))
        for state in history.verdict_states_of(session, key)
        if state.span.valid_from <= at
    ]
    known = replace(known, badges=tuple(_badge_as_known(badge, at) for badge in known.badges))
    name, number = key
    names = [name, f"{name} version {number}", *(stored.waiver.about for stored in known.waivers)]
    proof, unproved = _proof(session, key, provable or provability(session, at), records[-1], known)
    return PackContents(
        known,
        system_facts(session, known),
        records,
        verdicts,
        config_versions.config_version(session, "policy", at=at),
        version_trail(session, names, sorted(_sync_ids(known, records, verdicts)), at),
        proof,
        unproved,
    )


def _proof(
    session: TenantSession, key: Key, provable: Provability, record: RecordState, known: VersionDossier
) -> tuple[VersionProof | None, str]:
    """Return the proof of the states that a pack shows, or the reason why there is none."""
    if provable.moment is None:
        return None, provable.reason
    try:
        proof = prove_version(session, key, provable.moment)
    except UnprovableError as error:
        return None, str(error)
    leaves = [_parsed(state.leaf) for state in proof.states]
    record_writers = {leaf["sync_id"] for leaf in leaves if leaf["kind"] == "record"}
    badges = {
        _parsed(state.content)["badge"]
        for state, leaf in zip(proof.states, leaves, strict=True)
        if leaf["kind"] == "evaluation" and state.model_path is not None
    }
    is_proved = (
        escape(record.span.sync_id) in record_writers
        and (badges or {""}) == {known.badge.badge if known.badge else ""}
        and {rule_id: _proved_parts(cells) for rule_id, cells in proof.verdicts.items()}
        == {judged.verdict.rule_id: _shown_parts(judged.verdict) for judged in known.rules}
    )
    if not is_proved:
        return None, (
            "a sync has changed the record, a verdict or the badge, and no entry of the audit trail commits that yet"
        )
    return proof, ""


_TEXTS = ("rule_version", "verdict", "reason", "policy_id", "policy_version", "day", "input_hash")
_JSON = ("values", "origins", "thresholds")
"""The columns of a verdict that a pack shows and that ``verify.py`` compares with the proof."""


def _proved_parts(cells: Mapping[str, str]) -> list[object]:
    return [*(cells[name] for name in _TEXTS), *(json.loads(cells[name]) for name in _JSON)]


def _shown_parts(verdict: VerdictState) -> list[object]:
    texts = (getattr(verdict, name) for name in _TEXTS)
    return [
        *("" if value is None else escape(str(value)) for value in texts),
        *(to_stored(getattr(verdict, name)) for name in _JSON),
    ]


def _parsed(text: str) -> Mapping[str, str]:
    content: Mapping[str, str] = json.loads(text)
    return content


def _sync_ids(known: VersionDossier, records: Sequence[RecordState], verdicts: Sequence[VerdictState]) -> set[str]:
    """Return the syncs that wrote or ended a state, or saw an event."""
    spans = [state.span for states in (records, verdicts, known.badges) for state in states]
    written = {span.sync_id for span in spans}
    ended = {span.ended_by_sync_id for span in spans if span.ended_by_sync_id}
    return (written | ended | {recorded.sync_id for recorded in known.lifecycle_events}) - {""}


def _badge_as_known(badge: BadgeState, at: datetime) -> BadgeState:
    return replace(badge, span=_as_known(badge.span, at))


def _as_known(span: Validity, at: datetime) -> Validity:
    """Return a span. If its end is after a given time, it is left out, since it was not known at that time."""
    is_later = span.valid_to is not None and span.valid_to > at
    return replace(span, valid_to=None, ended_by_sync_id=None) if is_later else span
