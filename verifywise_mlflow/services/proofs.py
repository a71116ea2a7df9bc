"""Makes proofs of a version's states at a given time, and proofs that a later trail extends a former trail."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Final, NamedTuple

from verifywise_mlflow.audit.chain import ChainLink
from verifywise_mlflow.audit.checkpoint import Checkpoint, CheckpointClaim, parse_claim
from verifywise_mlflow.audit.leaf_tree import LeafTree
from verifywise_mlflow.audit.proof import (
    Commitment,
    CommittedStates,
    ConsistencyProof,
    UnprovableError,
    VersionProof,
)
from verifywise_mlflow.audit.state_leaf import Content, State, content_hash, content_text, leaf_text
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.compliance.input_hash import input_hash
from verifywise_mlflow.persistence.pg_text_codec import dumps, escape
from verifywise_mlflow.persistence.queries import committed_states, state_rows
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredVerdict
from verifywise_mlflow.persistence.queries.verdict_rows import verdict_rows
from verifywise_mlflow.persistence.queries.version_ranges import VersionRange
from verifywise_mlflow.persistence.repositories import config_versions, state_log
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import (
    VERDICT_COLUMNS,
    column_hashes,
    evaluation_content,
    joined_columns,
    manifest_content,
    record_content,
)
from verifywise_mlflow.services.policy_documents import deciding_parts, recorded_digest, rule_documents

MAX_ENTRIES: Final = 5_000
"""The maximum number of entries in the proof of a version, from the entry that commits its states to the signed
entry."""


@dataclass(frozen=True, slots=True)
class ProvableMoment:
    """The parts that all proofs of a moment share: the entry that commits the states, and its checkpoints."""

    link: ChainLink
    occurred_at: datetime
    commitment: Commitment
    trees: CommittedStates
    entries: tuple[str, ...]
    checkpoints: Sequence[Checkpoint]
    newer: int | None
    """A later entry that commits states and that no checkpoint signs yet."""


def provable_moment(
    session: TenantSession, at: datetime | None = None, *, covered_by: Checkpoint | None = None
) -> ProvableMoment:
    """Return the last moment up to a given time whose states can be proved.

    Without a time, return the last moment that a checkpoint covers, if a checkpoint exists.

    Args:
        session: the tenant's transaction.
        at: the time.
        covered_by: the checkpoint that must cover the moment, such as one that an auditor saved.

    Raises:
        UnprovableError: nothing was committed by that time, the log differs from the committed log, the checkpoint is
            too many entries later, or the given checkpoint does not cover the moment.
    """
    covering = None if covered_by is None else parse_claim(covered_by)
    until = covering.sequence if covering is not None and at is None else None
    newest = committed_states.last_commitment(session, at=at, last=until)
    if newest is None:
        raise UnprovableError(_no_commitment(session, at, until))
    link, signed = newest, committed_states.first_signed(session, newest.sequence)
    if covering is not None:
        signed = _covered_entry(session, covering, newest.sequence)
    elif signed is None and at is None and (last_signed := committed_states.last_signed(session)):
        link = committed_states.last_commitment(session, last=last_signed) or newest
        signed = committed_states.first_signed(session, link.sequence)
    last = signed or link.sequence
    if at is not None and covering is None:
        # An entry after the time proves that no other entry up to the time commits newer states. If there is none, the
        # last entry proves it up to its own time.
        after = committed_states.first_entry_after(session, link.sequence, at)
        end: int | None = after or committed_states.last_entry(session)
        if signed is not None:
            end = committed_states.first_signed(session, after) if after else committed_states.last_signed(session)
        if end is not None and link.sequence <= end < link.sequence + MAX_ENTRIES:
            last = end
    if last - link.sequence >= MAX_ENTRIES:
        raise UnprovableError(
            f"the next checkpoint signs entry {last:,}, {last - link.sequence:,} entries after the one that commits "
            f"the states; a proof has at most {MAX_ENTRIES:,} entries. Let each sync sign a checkpoint"
        )
    commitment = Commitment.of_entry(link.text)
    if commitment is None:
        raise UnprovableError(f"entry {link.sequence:,} of the trail does not commit states, unlike the database says")
    trees = CommittedStates(
        state_log.leaf_hashes(session, 0, commitment.size), committed_states.newest_leaves(session, commitment.size)
    )
    trees.require(commitment)
    return ProvableMoment(
        link,
        _occurred_at(link),
        commitment,
        trees,
        tuple(entry.text for entry in committed_states.links_between(session, link.sequence, last)),
        [*dict.fromkeys((*([covered_by] if covered_by else []), *committed_states.checkpoints_of(session, last)))],
        newest.sequence if newest.sequence != link.sequence else None,
    )


def _no_commitment(session: TenantSession, at: datetime | None, until: int | None) -> str:
    """Return a sentence: no entry commits states by that time. It names the first entry that commits states."""
    when = f" up to {utc_text(at)}" if at else "" if until is None else f" up to entry {until:,}, which was signed"
    sentence = f"no entry in the trail of {quote(session.tenant_id)} commits states{when}"
    first = committed_states.first_commitment(session)
    if first is None:
        return f"{sentence}: a sync has to end first"
    return f"{sentence}; the first one that does is entry {first.sequence:,} of {utc_text(_occurred_at(first))}"


def _covered_entry(session: TenantSession, covering: CheckpointClaim, first: int) -> int:
    """Return the entry that a checkpoint signs; the proof has the entries from ``first`` up to it.

    Raises:
        UnprovableError: the entry is earlier than ``first``, or the trail does not have it as it was signed.
    """
    number = covering.sequence
    if number < first:
        raise UnprovableError(
            f"the checkpoint signs entry {number:,}, but entry {first:,} commits the states of that time: take a newer "
            "checkpoint, or leave --as-of out"
        )
    if [link.hash for link in committed_states.links_between(session, number, number)] != [covering.entry_hash]:
        raise UnprovableError(
            f"the trail of {quote(session.tenant_id)} does not have entry {number:,} as the checkpoint signs it: run "
            f"verifywise-mlflow audit verify {session.tenant_id} --checkpoint with the same file"
        )
    return number


def _occurred_at(link: ChainLink) -> datetime:
    return datetime.fromisoformat(str(json.loads(link.text)["occurred_at"]))


def prove_version(session: TenantSession, key: Key, moment: ProvableMoment) -> VersionProof:
    """Return the proof of the newest states of a version at a moment: its record, manifest, verdicts and badge.

    A manifest that has changed since then is left out, since former manifests are not stored.

    Raises:
        UnprovableError: the version had no record then, or a row differs from the logged row.
    """
    tenant_id, name, number = escape(session.tenant_id), escape(key[0]), key[1]
    logged = sorted(state for _, state in state_rows.logged_states(session, [VersionRange.of((name, number))]))
    newest = {state.kind: state for state in logged if state.position < moment.commitment.size}
    if "record" not in newest:
        raise UnprovableError(
            f"entry {moment.link.sequence:,} of {utc_text(moment.occurred_at)} commits no record of {quote(key[0])} "
            f"version {number}"
        )
    shown = [_ShownState(newest["record"], _record(session, (name, number), newest["record"]))]
    if "manifest" in newest and (manifest := _manifest(session, (name, number), newest["manifest"])):
        shown.append(_ShownState(newest["manifest"], manifest))
    in_force: Mapping[str, Mapping[str, str]] = {}
    rules: Mapping[str, Mapping[str, object]] = {}
    if "evaluation" in newest:
        evaluations, in_force = _evaluations(session, (name, number), logged, moment.commitment.size)
        shown += evaluations
        rules = dict(_rules(session, in_force, max(evaluation.logged.written_at for evaluation in evaluations)))
    for state, content, _ in shown:
        if content_hash(content) != state.content:
            raise UnprovableError(
                f"the {state.kind} of {quote(key[0])} version {number} of {utc_text(state.written_at)} is not the one "
                f"that was logged: run verifywise-mlflow audit verify {session.tenant_id} --records"
            )
    return VersionProof(
        tenant=tenant_id,
        model_name=name,
        version_number=number,
        states=moment.trees.prove(
            name,
            [
                (state.position, _leaf(tenant_id, (name, number), state), content_text(content), verdicts)
                for state, content, verdicts in shown
            ],
        ),
        models_path=moment.trees.models_path(name),
        verdicts=in_force,
        rules=rules,
        entries=moment.entries,
        checkpoints=moment.checkpoints,
    )


def prove_consistency(
    session: TenantSession, former: int, later: int, checkpoints: Sequence[Checkpoint] = ()
) -> ConsistencyProof:
    """Return the proof that the trail up to a later entry extends the trail up to a former entry.

    The proof has all entries in between, about a kilobyte each: each entry has the hash of the entry before.

    Args:
        session: the tenant's transaction.
        former: the sequence number of the former entry.
        later: the sequence number of the later entry.
        checkpoints: checkpoints to include in addition to the stored checkpoints of both entries.

    Raises:
        UnprovableError: an entry does not exist, or the log differs from the committed log.
    """
    if former < 1:
        raise UnprovableError(f"there is no entry {former:,}: the first entry of a trail is entry 1")
    if later < former:
        raise UnprovableError(f"entry {later:,} does not come after entry {former:,}")
    start = committed_states.last_commitment(session, last=former)
    first = start.sequence if start else 1
    entries = tuple(link.text for link in committed_states.links_between(session, first, later))
    if len(entries) != later - first + 1:
        last = first + len(entries) - 1 if entries else committed_states.last_entry(session)
        raise UnprovableError(
            f"the trail of {quote(session.tenant_id)} does not have all entries up to {later:,}: the last one is entry "
            f"{last:,}"
        )
    parsed = [json.loads(entry) for entry in entries]
    begin = max((place for place, entry in enumerate(parsed) if entry["kind"] == "tenant erased"), default=-1)
    commitments = [commitment for text in entries[begin + 1 :] if (commitment := Commitment.of_entry(text))]
    growth = None
    if commitments:
        tree = LeafTree(state_log.leaf_hashes(session, 0, commitments[-1].size))
        if (tree.size, tree.root.hex()) != (commitments[-1].size, commitments[-1].root):
            raise UnprovableError("the log of states is not the one that the audit trail commits")
        growth = tree.growth_since(commitments[0].size)
    signed = [*committed_states.checkpoints_of(session, former), *committed_states.checkpoints_of(session, later)]
    return ConsistencyProof(escape(session.tenant_id), entries, growth, [*dict.fromkeys((*checkpoints, *signed))])


class _ShownState(NamedTuple):
    logged: LoggedState
    content: Content
    verdicts: Mapping[str, str] = {}
    """The columns of the verdicts that began with an evaluation. The cells of each column are joined into one text."""


class _Verdict(NamedTuple):
    stored: StoredVerdict
    begin: int
    """The evaluation that gave the verdict, as an index into the version's evaluations in the log."""
    end: int
    """The evaluation that ended the verdict: it gave another verdict or no verdict."""

    def is_in_force(self, place: int) -> bool:
        return self.begin <= place < self.end


def _leaf(tenant_id: str, key: Key, state: LoggedState) -> str:
    return leaf_text(
        tenant_id,
        state.position,
        State(state.kind, *key, state.object_id, state.written_at, state.sync_id, state.content),  # type: ignore[arg-type]  # a kind, as the log has it
    )


def _record(session: TenantSession, key: Key, logged: LoggedState) -> Content:
    """Return the record that a sync wrote; an empty record if no row has the logged hash.

    The time does not identify the record: if the clock was set back, the row has the time of the former state.
    """
    for _, _, row in state_rows.record_rows(session, [key]):
        content = record_content(row)
        if (escape(row["sync_id"]), content_hash(content)) == (logged.sync_id, logged.content):
            return content
    return {}


def _manifest(session: TenantSession, key: Key, logged: LoggedState) -> Content | None:
    written = committed_states.manifest_written(session, key)
    if written is None or written[0] != logged.written_at:
        return None
    return manifest_content(dumps(written[1]))


def _evaluations(
    session: TenantSession, key: Key, logged: Sequence[LoggedState], size: int
) -> tuple[list[_ShownState], Mapping[str, Mapping[str, str]]]:
    """Return the newest evaluation, earlier evaluations whose verdicts it kept, and the verdicts in force by rule.

    Verdicts are sorted by rule. Evaluations are in the order of the log, since the clock may have been set back between
    two of them.

    Args:
        session: the tenant's transaction.
        key: the version.
        logged: all states of the version, in the order of the log.
        size: the number of states in the log at the moment of the proof.
    """
    evaluations = [state for state in logged if state.kind == "evaluation"]
    places = {(state.written_at, state.sync_id): place for place, state in enumerate(evaluations)}
    places_of_syncs = {state.sync_id: place for place, state in enumerate(evaluations)}
    newest = max(place for place, state in enumerate(evaluations) if state.position < size)

    def place_of(at: datetime, sync_id: str | None) -> int | None:
        # If the clock was set back, a row has a later time than the log, but the same sync.
        return places.get((at, sync_id or ""), places_of_syncs.get(sync_id or ""))

    def end_of(ended_at: datetime | None, ended_by: str | None) -> int:
        place = None if ended_at is None else place_of(ended_at, ended_by)
        return len(evaluations) if place is None else place

    rows = [row for _, row in verdict_rows(session, [VersionRange.of(key)]) if row.is_well_formed()]
    verdicts = [
        _Verdict(stored, begin, end_of(stored.ended_at, stored.ended_by))
        for stored in sorted((verdict for row in rows for verdict in row.single()), key=attrgetter("rule_id"))
        if (begin := place_of(stored.written_at, stored.sync_id)) is not None
    ]
    badges = {
        begin: (badge.badge, end_of(badge.ended_at, badge.ended_by))
        for _, badge in state_rows.badge_states(session, [VersionRange.of(key)])
        if (begin := place_of(badge.written_at, badge.sync_id)) is not None
    }
    proved = []
    in_force = [verdict for verdict in verdicts if verdict.is_in_force(newest)]
    for place in sorted({newest, *(verdict.begin for verdict in in_force)}):
        then = [verdict for verdict in verdicts if verdict.is_in_force(place)]
        columns = joined_columns(verdict.stored.cells for verdict in then if verdict.begin == place)
        kept = {it.stored.rule_id: it.stored.fingerprint for it in then if it.begin != place}
        badge = [text for begin, (text, end) in badges.items() if begin <= place < end]
        content = evaluation_content(column_hashes(columns), kept, badge[0] if badge else "")
        proved.append(_ShownState(evaluations[place], content, dict(zip(VERDICT_COLUMNS, columns, strict=False))))
    return proved, {it.stored.rule_id: dict(zip(VERDICT_COLUMNS, it.stored.cells, strict=True)) for it in in_force}


def _rules(
    session: TenantSession, in_force: Mapping[str, Mapping[str, str]], at: datetime
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield each rule's deciding parts if these parts and the inputs of its verdict have the stored hash."""
    documents = rule_documents(config_versions.config_version(session, "policy", at=at))
    for rule_id, cells in in_force.items():
        if (rule := documents.get(rule_id)) is not None:
            day = date.fromisoformat(cells["day"]) if cells["day"] else None
            values, thresholds = json.loads(cells["values"]), json.loads(cells["thresholds"])
            if input_hash(recorded_digest(rule), values, thresholds, day) == cells["input_hash"]:
                yield rule_id, deciding_parts(rule)
