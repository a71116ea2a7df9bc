"""Verdicts and badges, and which records are due to be judged."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, tuple_
from sqlalchemy import Text as PlainText

from verifywise_mlflow.compliance.badge import Badge
from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.field_paths import Selection
from verifywise_mlflow.compliance.verdict import RuleResult
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord
from verifywise_mlflow.persistence.pg_text_codec import dumps, escape
from verifywise_mlflow.persistence.repositories import verdict_bulk_writer
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import BadgeRow, VerdictRow, VerdictRows
from verifywise_mlflow.persistence.row_mapping import Key, is_one_of, same_version, to_floats
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, compliance_results


@dataclass(frozen=True, slots=True)
class PendingEvaluation:
    """A record that is to be judged."""

    key: Key
    """The version's model name and number."""
    subject: Subject
    """What the rules look at; of a field that none does, null."""
    revision: int
    present: Collection[str] = frozenset()
    """The verdicts that it has, as ``<rule's id> <fingerprint>``."""


_LARGE: Final[Mapping[str, tuple[str, ...]]] = {
    "artifact_manifest": ("files", "changed_in_place"),
    "runtime_environment": ("packages",),
}
"""Members that take most of a record's bytes. They stay in the database where no rule looks at them."""


def pending_evaluations(
    session: TenantSession,
    *,
    policy_digest: str,
    after: Key | None,
    limit: int,
    evaluated_since: datetime | None = None,
    selection: Selection | None = None,
) -> list[PendingEvaluation]:
    """Return the next records, in the order of their keys, that this policy has not judged as they are now.

    Args:
        connection: a transaction of the tenant.
        tenant_id: whose records.
        policy_digest: of the policy; who was judged by another one is due.
        after: the key of the last one before.
        limit: how many at most.
        judged_since: who was judged earlier is due as well: for rules that look at the day.
        selection: what the rules look at; by default, all.
    """
    records, badges = canonical_records, compliance_badges
    same_version = _badge_of_record(after)
    is_due = [
        badges.c.record_revision.is_distinct_from(records.c.revision),
        badges.c.policy_digest.is_distinct_from(policy_digest),
    ]
    if evaluated_since is not None:
        is_due.append(badges.c.evaluated_at < evaluated_since)
    query = (
        select(*_shown(selection), records.c.incomplete, records.c.findings, records.c.origins, records.c.revision)
        .select_from(records.outerjoin(badges, same_version))
        .where(records.c.tenant_id == session.tenant_id, or_(*is_due))
        .order_by(records.c.model_name, records.c.version_number)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(records.c.model_name, records.c.version_number) > after)
    rows = session.execute(query).mappings().all()
    keys = [(row["model_name"], row["version_number"]) for row in rows]
    present = _present(session, keys) if keys else {}
    return [
        PendingEvaluation(key, subject_from_row(dict(row)), row["revision"], present.get(key, frozenset()))
        for key, row in zip(keys, rows, strict=True)
    ]


def _badge_of_record(after: Key | None) -> ColumnElement[bool]:
    """Return how a badge is joined to its record; behind a key, if one is given.

    The key has to be said of the badges, too: else each batch walks through all badges before it once more.
    """
    records, badges = canonical_records, compliance_badges
    same = same_version(badges, records)
    return same if after is None else and_(same, tuple_(badges.c.model_name, badges.c.version_number) > after)


@dataclass(frozen=True, slots=True)
class EvaluatedRecord:
    """A living record with the verdicts that it has."""

    evaluation: PendingEvaluation
    verdicts: Mapping[str, str]
    """Rule's id to verdict."""
    badge: str | None
    is_current: bool
    """Whether the record is as it was when it was judged."""


def evaluated_records(
    session: TenantSession, *, after: Key | None, limit: int, selection: Selection
) -> list[EvaluatedRecord]:
    """Return the next living records, in the order of their keys, with the verdicts that they have."""
    records, badges, results = canonical_records, compliance_badges, compliance_results
    same_version = _badge_of_record(after)
    query = (
        select(
            *_shown(selection),
            *(records.c.incomplete, records.c.findings, records.c.origins, records.c.revision),
            *(badges.c.badge, badges.c.record_revision),
        )
        .select_from(records.outerjoin(badges, same_version))
        .where(records.c.tenant_id == session.tenant_id, records.c.deleted_at.is_(None))
        .order_by(records.c.model_name, records.c.version_number)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(records.c.model_name, records.c.version_number) > after)
    rows = session.execute(query).mappings().all()
    keys = [(row["model_name"], row["version_number"]) for row in rows]
    pairs = func.json_object_agg(results.c.rule_id, results.c.verdict)
    given = session.execute(
        select(results.c.model_name, results.c.version_number, pairs)
        .where(results.c.tenant_id == session.tenant_id, is_one_of(results, keys))
        .group_by(results.c.model_name, results.c.version_number)
    )
    verdicts = {(name, number): words for name, number, words in given}
    return [
        EvaluatedRecord(
            PendingEvaluation(key, subject_from_row(dict(row)), row["revision"]),
            verdicts.get(key, {}),
            row["badge"],
            is_current=row["record_revision"] == row["revision"],
        )
        for key, row in zip(keys, rows, strict=True)
    ]


def _shown(selection: Selection | None) -> Iterator[ColumnElement[object]]:
    """Yield the record's columns that rules look at, and of large values what they look at."""
    wanted = dict.fromkeys(FIELDS) if selection is None else selection | (selection.get("stated") or {})
    for field in FIELDS:
        column = canonical_records.c[field]
        if field in wanted or column.primary_key:
            members = (selection or {}).get(field)
            is_stated = selection is not None and field in (selection.get("stated") or {})
            unseen = [name for name in _LARGE.get(field, ()) if members and name not in members]
            shown: ColumnElement[object] = column
            for name in () if is_stated else unseen:
                shown = shown.op("-", return_type=column.type)(name)
            yield shown.label(field)


def subject_from_row(row: Mapping[str, object]) -> Subject:
    """Return what a row of ``canonical_records`` says of a version; columns that are not in it are null."""
    return Subject(
        canonical_record(row),
        row["incomplete"],  # type: ignore[arg-type]  # as records.write_records wrote them
        row["findings"],  # type: ignore[arg-type]
        row["origins"],  # type: ignore[arg-type]
    )


def canonical_record(row: Mapping[str, object]) -> CanonicalRecord:
    """Return the record that a row of ``canonical_records`` holds; columns that are not in it are null."""
    values = {field: row.get(field) for field in FIELDS}
    if values["metrics"] is not None:
        values["metrics"] = to_floats(values["metrics"])
    return CanonicalRecord(**values)  # type: ignore[arg-type]  # the columns are the record's fields


class NewVerdict(Protocol):
    """A verdict that was given. All that is only needed of one that is new is made at need."""

    @property
    def rule_id(self) -> str:
        """Which rule's it is."""

    def fingerprint(self) -> str:
        """Return a hash of what it says: the same verdict again needs no writing."""

    def result(self) -> RuleResult:
        """Return the verdict with all that it rests on."""


@dataclass(frozen=True, slots=True)
class PolicyIdentity:
    """The policy that a rule belongs to."""

    policy_id: str
    version: str


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """Who judges, by what, and when."""

    tenant_id: str
    policy_of: Mapping[str, PolicyIdentity]
    """Rule's id to its policy."""
    digest: str
    """Of all policies together; it stands beside the badges."""
    sync_id: str
    now: datetime


class VerdictBatch:
    """The verdicts on some hundreds of records that differ from the present ones.

    A verdict that is the same again keeps the time, the sync, the day and the policy that gave it first; the badge
    tells which policy judged last, and when. Those of rules that are no longer asked are dropped. What ends is kept as
    history, by triggers, which are told who writes, and when.

    Records are taken one by one, so that what was made to judge one is gone before the next: with all of a batch
    around, Python's search for cycles takes two fifths of the time that judging takes.
    """

    def __init__(self, judging: EvaluationContext) -> None:
        """Begin without a verdict."""
        self._judging = judging
        self._verdicts = VerdictRows()
        self._badges: list[BadgeRow] = []
        self._with_dropped: list[Key] = []
        """Versions that have a verdict of a rule that is no longer asked."""

    def __len__(self) -> int:
        """How many records were taken."""
        return len(self._badges)

    def add(self, due: PendingEvaluation, results: Sequence[NewVerdict], badge: Badge) -> None:
        """Take a record's verdicts and badge."""
        kept = due.present
        given = {f"{one.rule_id} {one.fingerprint()}": one for one in results}
        if given.keys() != kept:
            for said, one in given.items():
                if said not in kept:
                    self._add(due.key, one.result(), said.rpartition(" ")[2])
            if any(said.rpartition(" ")[0] not in self._judging.policy_of for said in kept):
                self._with_dropped.append(due.key)
        self._badges.append(BadgeRow(*due.key, badge.value, due.revision))

    def _add(self, key: Key, result: RuleResult, fingerprint: str) -> None:
        policy = self._judging.policy_of[result.rule_id]
        row = VerdictRow(
            rule_id=result.rule_id,
            rule_version=str(result.rule_version),
            verdict=result.verdict.value,
            reason=escape(result.reason),
            values=to_stored_json(result.values_json),
            policy_id=policy.policy_id,
            policy_version=policy.version,
            origins=to_stored_json(result.origins_json),
            thresholds=to_stored_json(result.thresholds_json),
            day=result.day.isoformat() if result.day else "",
            input_hash=result.input_hash,
            fingerprint=fingerprint,
        )
        self._verdicts.add(key, row)

    def write(self, session: TenantSession) -> int:
        """Write what was taken; return how many verdicts were written or dropped."""
        judging, results = self._judging, compliance_results
        told = {"now": judging.now.isoformat(), "sync_id": judging.sync_id}
        session.execute(
            select(*(func.set_config(f"verifywise_mlflow.{name}", value, True) for name, value in told.items()))
        )
        dropped = 0
        if self._with_dropped:
            of_taken = and_(results.c.tenant_id == judging.tenant_id, is_one_of(results, self._with_dropped))
            dropped = session.execute(
                delete(results).where(of_taken, results.c.rule_id.not_in(judging.policy_of))
            ).rowcount
        verdict_bulk_writer.upsert_verdicts(session, self._verdicts, judging.now, judging.sync_id)
        verdict_bulk_writer.upsert_badges(session, self._badges, judging.digest, judging.now, judging.sync_id)
        return len(self._verdicts) + dropped


_NOT_AS_IT_STANDS: Final = re.compile(r"\\u0000|\\ud[89a-f]|\\u2400|\\u241b|e\+")
"""In canonical JSON: what Postgres would refuse, or hand back otherwise."""


def to_stored_json(canonical: str) -> str:
    """Return canonical JSON as the codec would have written it."""
    # To look for a word is ten times as fast as for a pattern, and hardly any has one.
    may_differ = "\\u" in canonical or "e+" in canonical
    return dumps(json.loads(canonical)) if may_differ and _NOT_AS_IT_STANDS.search(canonical) else canonical


def _present(session: TenantSession, keys: Sequence[Key]) -> dict[Key, set[str]]:
    """Return of each version the verdicts that there are, as ``<rule's id> <fingerprint>``: one text a version."""
    results = compliance_results
    said = func.string_agg(func.concat(results.c.rule_id, " ", results.c.fingerprint), ",", type_=PlainText)
    query = (
        select(results.c.model_name, results.c.version_number, said)
        .where(results.c.tenant_id == session.tenant_id, is_one_of(results, keys))
        .group_by(results.c.model_name, results.c.version_number)
    )
    return {(name, number): set(verdicts.split(",")) for name, number, verdicts in session.execute(query)}
