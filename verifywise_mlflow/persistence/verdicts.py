"""Verdicts and badges, and which records are due to be judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, tuple_

from verifywise_mlflow.compliance.verdict import Badge, RuleResult
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord
from verifywise_mlflow.persistence.codec import dumps, loads
from verifywise_mlflow.persistence.rows import Key, Row, numbers, of_versions, upsert
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, compliance_results


@dataclass(frozen=True, slots=True)
class DueVerdict:
    """A record that is to be judged."""

    record: CanonicalRecord
    incomplete: Sequence[str]
    revision: int

    @property
    def key(self) -> Key:
        """The version's model name and number."""
        return (self.record.model_name, self.record.version_number)


def due_verdicts(
    connection: Connection, tenant_id: str, *, policy_digest: str, after: Key | None, limit: int
) -> list[DueVerdict]:
    """Return the next records, in the order of their keys, that this policy has not judged as they are now."""
    records, badges = canonical_records, compliance_badges
    same_version = and_(
        badges.c.tenant_id == records.c.tenant_id,
        badges.c.model_name == records.c.model_name,
        badges.c.version_number == records.c.version_number,
    )
    query = (
        select(*(records.c[field] for field in FIELDS), records.c.incomplete, records.c.revision)
        .select_from(records.outerjoin(badges, same_version))
        .where(
            records.c.tenant_id == tenant_id,
            or_(
                badges.c.record_revision.is_distinct_from(records.c.revision),
                badges.c.policy_digest.is_distinct_from(policy_digest),
            ),
        )
        .order_by(records.c.model_name, records.c.version_number)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(records.c.model_name, records.c.version_number) > after)
    return [
        DueVerdict(canonical_record(dict(row)), row["incomplete"], row["revision"])
        for row in connection.execute(query).mappings()
    ]


def canonical_record(row: Mapping[str, object]) -> CanonicalRecord:
    """Return the record that a row of ``canonical_records`` holds."""
    values = {field: row[field] for field in FIELDS}
    if values["metrics"] is not None:
        values["metrics"] = numbers(values["metrics"])
    return CanonicalRecord(**values)  # type: ignore[arg-type]  # the columns are the record's fields


@dataclass(frozen=True, slots=True)
class Judged:
    """A record's verdicts and badge."""

    due: DueVerdict
    results: Sequence[RuleResult]
    badge: Badge


@dataclass(frozen=True, slots=True)
class PolicyIdentity:
    """The policy that judged."""

    policy_id: str
    version: str
    digest: str


def write_verdicts(
    connection: Connection,
    tenant_id: str,
    policy: PolicyIdentity,
    judged: Sequence[Judged],
    sync_id: str,
    now: datetime,
) -> None:
    """Write the verdicts that differ from the present ones, and drop those of rules that are no longer asked.

    A verdict that is the same again keeps the time, the sync and the policy that gave it first; the badge tells which
    policy judged last, and when. What ends is kept as history, by triggers, which are told here who writes, and when.
    """
    if not judged:
        return
    told = {"now": now.isoformat(), "sync_id": sync_id}
    connection.execute(select(*(func.set_config(f"verifywise.{name}", value, True) for name, value in told.items())))
    present = _present(connection, tenant_id, judged)
    asked = {(item.due.key, result.rule_id) for item in judged for result in item.results}
    dropped = [(*key, rule_id) for key, rule_id in present.keys() - asked]
    if dropped:
        identity = tuple_(*(compliance_results.c[name] for name in ("model_name", "version_number", "rule_id")))
        connection.execute(
            delete(compliance_results).where(compliance_results.c.tenant_id == tenant_id, identity.in_(dropped))
        )
    rows: list[Row] = [
        {
            "tenant_id": tenant_id,
            "model_name": item.due.key[0],
            "version_number": item.due.key[1],
            "rule_id": result.rule_id,
            "rule_version": result.rule_version,
            "verdict": result.verdict.value,
            "reason": result.reason,
            "values": result.values,
            "policy_id": policy.policy_id,
            "policy_version": policy.version,
            "evaluated_at": now,
            "sync_id": sync_id,
        }
        for item in judged
        for result in item.results
        if not present.get((item.due.key, result.rule_id))
    ]
    upsert(connection, compliance_results, rows)
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
                "policy_digest": policy.digest,
                "evaluated_at": now,
                "sync_id": sync_id,
                "changed_at": now,
            }
            for item in judged
        ],
    )


def _present(connection: Connection, tenant_id: str, judged: Sequence[Judged]) -> dict[tuple[Key, str], bool]:
    """Return which verdicts there are, by version and rule, and whether each is the one that was given again."""
    results = compliance_results
    given = {(item.due.key, result.rule_id): result for item in judged for result in item.results}
    query = select(
        results.c.model_name,
        results.c.version_number,
        results.c.rule_id,
        results.c.rule_version,
        results.c.verdict,
        results.c.reason,
        results.c["values"],
    ).where(
        results.c.tenant_id == tenant_id,
        of_versions(results, [item.due.key for item in judged]),
    )
    present = {}
    # A few at a time: the values may hold whole manifests.
    for name, number, rule_id, *state in connection.execute(query.execution_options(yield_per=100)):
        result = given.get(((name, number), rule_id))
        present[((name, number), rule_id)] = result is not None and state == [
            result.rule_version,
            result.verdict.value,
            result.reason,
            loads(dumps(result.values)),  # as they would come back
        ]
    return present


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
