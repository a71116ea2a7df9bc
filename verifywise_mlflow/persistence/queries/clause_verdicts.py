"""The verdicts of a clause's rules on a tenant's living versions: counts by rule, and the worst versions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import and_, case, func, not_, or_, select

from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.queries.coverage import is_archived
from verifywise_mlflow.persistence.row_mapping import Key, is_one_of, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_results, compliance_verdicts


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """A rule's verdict and its reason."""

    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class VersionVerdicts:
    """A version and the verdicts of some rules on it, by rule."""

    key: Key
    lifecycle_stage: str | None
    verdicts: Mapping[str, RuleVerdict]


def verdict_counts_of(session: TenantSession, rule_ids: Collection[str]) -> Mapping[str, Mapping[str, int]]:
    """Return, for each rule, the number of versions by verdict. Archived and deleted versions are left out."""
    records, results = canonical_records, compliance_verdicts
    query = (
        select(results.c.rule_id, results.c.verdict, func.count())
        .select_from(results.join(records, same_version(records, results)))
        .where(
            results.c.tenant_id == session.tenant_id,
            results.c.rule_id.in_(rule_ids),
            records.c.deleted_at.is_(None),
            not_(is_archived(records)),
        )
        .group_by(results.c.rule_id, results.c.verdict)
    )
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for rule_id, verdict, count in session.execute(query):
        counts[rule_id][verdict] = count
    return counts


def worst_versions(session: TenantSession, rule_ids: Collection[str], limit: int) -> list[VersionVerdicts]:
    """Return the versions with the worst verdicts of these rules, the worst first; of equal versions, production first.

    The order is: failed, error, not evaluated, not shown, not read, in part, shown, not applicable. Archived
    and deleted versions are left out.
    """
    records, results = canonical_records, compliance_verdicts
    is_same = and_(same_version(results, records), results.c.rule_id.in_(rule_ids))
    has = {
        verdict: func.coalesce(func.bool_or(results.c.verdict == verdict.value), False)
        for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.NOT_EVIDENCED, Verdict.NOT_READ, Verdict.PASS)
    }
    stage = records.c.lifecycle_stage
    query = (
        select(records.c.model_name, records.c.version_number, stage)
        .select_from(records.outerjoin(results, is_same))
        .where(
            records.c.tenant_id == session.tenant_id,
            records.c.deleted_at.is_(None),
            not_(is_archived(records)),
        )
        .group_by(records.c.model_name, records.c.version_number, stage)
        .order_by(
            has[Verdict.FAIL].desc(),
            has[Verdict.ERROR].desc(),
            (func.count(results.c.rule_id) < len(rule_ids)).desc(),
            and_(has[Verdict.NOT_EVIDENCED], not_(has[Verdict.PASS])).desc(),
            and_(has[Verdict.NOT_READ], not_(has[Verdict.PASS])).desc(),
            or_(has[Verdict.NOT_EVIDENCED], has[Verdict.NOT_READ]).desc(),
            has[Verdict.PASS].desc(),
            case({"production": 0, "staging": 1}, value=stage, else_=2),
            records.c.model_name,
            records.c.version_number.desc(),
        )
        .limit(limit)
    )
    stages: dict[Key, str | None] = {(name, number): stage for name, number, stage in session.execute(query)}
    worded = compliance_results
    texts = select(
        worded.c.model_name, worded.c.version_number, worded.c.rule_id, worded.c.verdict, worded.c.reason
    ).where(worded.c.tenant_id == session.tenant_id, is_one_of(worded, stages), worded.c.rule_id.in_(rule_ids))
    verdicts: defaultdict[Key, dict[str, RuleVerdict]] = defaultdict(dict)
    for name, number, rule_id, verdict, reason in session.execute(texts) if stages else ():
        verdicts[name, number][rule_id] = RuleVerdict(verdict, reason)
    return [VersionVerdicts(key, stage, verdicts[key]) for key, stage in stages.items()]
