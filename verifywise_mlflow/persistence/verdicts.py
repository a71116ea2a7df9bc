"""Verdicts and badges, and which records are due to be judged."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from sqlalchemy import ARRAY, ColumnElement, Connection, and_, delete, func, or_, select, tuple_

from verifywise_mlflow.compliance.evidence import Subject
from verifywise_mlflow.compliance.paths import Selection
from verifywise_mlflow.compliance.verdict import Badge, RuleResult
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord
from verifywise_mlflow.persistence import verdict_rows
from verifywise_mlflow.persistence.codec import Text, dumps, escape
from verifywise_mlflow.persistence.rows import Key, numbers, of_versions, upsert
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, compliance_results
from verifywise_mlflow.persistence.verdict_rows import VerdictRow


@dataclass(frozen=True, slots=True)
class DueVerdict:
    """A record that is to be judged."""

    key: Key
    """The version's model name and number."""
    subject: Subject
    """What the rules look at; of a field that none does, null."""
    revision: int


_LARGE: Final[Mapping[str, tuple[str, ...]]] = {
    "artifact_manifest": ("files", "changed_in_place"),
    "runtime_environment": ("packages",),
}
"""Members that take most of a record's bytes. They stay in the database where no rule looks at them."""


def due_verdicts(
    connection: Connection,
    tenant_id: str,
    *,
    policy_digest: str,
    after: Key | None,
    limit: int,
    judged_since: datetime | None = None,
    selection: Selection | None = None,
) -> list[DueVerdict]:
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
    same_version = and_(
        badges.c.tenant_id == records.c.tenant_id,
        badges.c.model_name == records.c.model_name,
        badges.c.version_number == records.c.version_number,
    )
    is_due = [
        badges.c.record_revision.is_distinct_from(records.c.revision),
        badges.c.policy_digest.is_distinct_from(policy_digest),
    ]
    if judged_since is not None:
        is_due.append(badges.c.evaluated_at < judged_since)
    query = (
        select(*_shown(selection), records.c.incomplete, records.c.findings, records.c.origins, records.c.revision)
        .select_from(records.outerjoin(badges, same_version))
        .where(records.c.tenant_id == tenant_id, or_(*is_due))
        .order_by(records.c.model_name, records.c.version_number)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(records.c.model_name, records.c.version_number) > after)
    return [
        DueVerdict((row["model_name"], row["version_number"]), subject(dict(row)), row["revision"])
        for row in connection.execute(query).mappings()
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


def subject(row: Mapping[str, object]) -> Subject:
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
        values["metrics"] = numbers(values["metrics"])
    return CanonicalRecord(**values)  # type: ignore[arg-type]  # the columns are the record's fields


class Given(Protocol):
    """A verdict that was given. All that is only needed of one that is new is made at need."""

    @property
    def rule_id(self) -> str:
        """Which rule's it is."""

    def fingerprint(self) -> str:
        """Return a hash of what it says: the same verdict again needs no writing."""

    def result(self) -> RuleResult:
        """Return the verdict with all that it rests on."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A record's verdicts and badge."""

    due: DueVerdict
    results: Sequence[Given]
    badge: Badge


@dataclass(frozen=True, slots=True)
class PolicyIdentity:
    """The policy that a rule belongs to."""

    policy_id: str
    version: str


def write_verdicts(
    connection: Connection,
    tenant_id: str,
    policy_of: Mapping[str, PolicyIdentity],
    digest: str,
    judged: Sequence[Judged],
    sync_id: str,
    now: datetime,
) -> int:
    """Write the verdicts that differ from the present ones, and drop those of rules that are no longer asked.

    A verdict that is the same again keeps the time, the sync, the day and the policy that gave it first; the badge
    tells which policy judged last, and when. What ends is kept as history, by triggers, which are told here who writes,
    and when. Returns how many verdicts were written or dropped.

    Args:
        connection: a transaction of the tenant.
        tenant_id: whose versions.
        policy_of: rule's id to its policy.
        digest: of all policies together, to be kept beside the badges.
        judged: at most some hundreds.
        sync_id: who writes.
        now: when.
    """
    if not judged:
        return 0
    told = {"now": now.isoformat(), "sync_id": sync_id}
    connection.execute(select(*(func.set_config(f"verifywise.{name}", value, True) for name, value in told.items())))
    present = _present(connection, tenant_id, [item.due.key for item in judged])
    rows, dropped = [], []
    for item in judged:
        kept = present.get(item.due.key, set())
        given = {f"{one.rule_id} {one.fingerprint()}": one for one in item.results}
        if given.keys() == kept:
            continue
        rows += [
            _row(item.due.key, one.result(), policy_of[one.rule_id], said.rpartition(" ")[2])
            for said, one in given.items()
            if said not in kept
        ]
        asked = {one.rule_id for one in item.results}
        dropped += [(*item.due.key, rule_id) for said in kept if (rule_id := said.rpartition(" ")[0]) not in asked]
    if dropped:
        identity = tuple_(*(compliance_results.c[name] for name in ("model_name", "version_number", "rule_id")))
        connection.execute(
            delete(compliance_results).where(compliance_results.c.tenant_id == tenant_id, identity.in_(dropped))
        )
    verdict_rows.write(connection, tenant_id, rows, now, sync_id)
    upsert(
        connection,
        compliance_badges,
        [
            {
                "tenant_id": tenant_id,
                "model_name": item.due.key[0],
                "version_number": item.due.key[1],
                "badge": item.badge.value,
                "record_revision": item.due.revision,
                "policy_digest": digest,
                "evaluated_at": now,
                "sync_id": sync_id,
                "changed_at": now,
            }
            for item in judged
        ],
    )
    return len(rows) + len(dropped)


_NOT_AS_IT_STANDS: Final = re.compile(r"\\u0000|\\ud[89a-f]|\\u2400|\\u241b|e\+")
"""In canonical JSON: what Postgres would refuse, or hand back otherwise."""


def stored(canonical: str) -> str:
    """Return canonical JSON as the codec would have written it."""
    return dumps(json.loads(canonical)) if _NOT_AS_IT_STANDS.search(canonical) else canonical


def _row(key: Key, result: RuleResult, policy: PolicyIdentity, fingerprint: str) -> VerdictRow:
    return VerdictRow(
        key=key,
        rule_id=result.rule_id,
        rule_version=result.rule_version,
        verdict=result.verdict.value,
        reason=escape(result.reason),
        values=stored(result.values_json),
        policy_id=policy.policy_id,
        policy_version=policy.version,
        origins=stored(result.origins_json),
        thresholds=dumps(result.thresholds),
        day=result.day.isoformat() if result.day else "",
        input_hash=result.input_hash,
        fingerprint=fingerprint,
    )


def _present(connection: Connection, tenant_id: str, keys: Sequence[Key]) -> dict[Key, set[str]]:
    """Return of each version the verdicts that there are, as ``<rule's id> <fingerprint>``: a row a version."""
    results = compliance_results
    said = func.array_agg(func.concat(results.c.rule_id, " ", results.c.fingerprint), type_=ARRAY(Text))
    query = (
        select(results.c.model_name, results.c.version_number, said)
        .where(results.c.tenant_id == tenant_id, of_versions(results, keys))
        .group_by(results.c.model_name, results.c.version_number)
    )
    return {(name, number): set(verdicts) for name, number, verdicts in connection.execute(query)}


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule gave a verdict, over the living versions of a tenant."""

    rule_id: str
    verdict: str
    versions: int


def rule_counts(connection: Connection, tenant_id: str) -> list[RuleCount]:
    """Return the verdicts of each rule, counted over the tenant's living versions."""
    results = compliance_results
    rows = connection.execute(
        select(results.c.rule_id, results.c.verdict, func.count())
        .select_from(results.join(canonical_records, _same_version()))
        .where(results.c.tenant_id == tenant_id, canonical_records.c.gone_at.is_(None))
        .group_by(results.c.rule_id, results.c.verdict)
    )
    return [RuleCount(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Offender:
    """A version that a rule has something to say about."""

    model_name: str
    version_number: int
    rule_id: str
    verdict: str
    reason: str


def offenders(connection: Connection, tenant_id: str, *, rule_id: str | None = None, limit: int = 20) -> list[Offender]:
    """Return living versions that failed, erred or lack evidence: production first, failures first."""
    results, records = compliance_results, canonical_records
    query = (
        select(
            results.c.model_name,
            results.c.version_number,
            results.c.rule_id,
            results.c.verdict,
            results.c.reason,
        )
        .select_from(results.join(records, _same_version()))
        .where(
            results.c.tenant_id == tenant_id,
            records.c.gone_at.is_(None),
            results.c.verdict.in_(("fail", "error", "not evidenced")),
        )
        .order_by(
            (records.c.lifecycle_stage == "production").desc().nulls_last(),
            (results.c.verdict == "fail").desc(),
            results.c.model_name,
            results.c.version_number.desc(),
            results.c.rule_id,
        )
        .limit(limit)
    )
    if rule_id is not None:
        query = query.where(results.c.rule_id == rule_id)
    return [Offender(*row) for row in connection.execute(query)]


def _same_version() -> ColumnElement[bool]:
    results, records = compliance_results, canonical_records
    return and_(
        records.c.tenant_id == results.c.tenant_id,
        records.c.model_name == results.c.model_name,
        records.c.version_number == results.c.version_number,
    )
