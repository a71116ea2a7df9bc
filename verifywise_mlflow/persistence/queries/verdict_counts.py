"""How often each rule gave each verdict, over the living versions of a tenant."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, FromClause, and_, func, select, true

from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.waivers import is_waived, waivers_in_force
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_results


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule gave a verdict, over the living versions of a tenant."""

    rule_id: str
    verdict: str
    versions: int
    waived: int
    """Of those, the gaps that a waiver covers."""


def rule_counts(session: TenantSession, at: datetime | None = None) -> list[RuleCount]:
    """Return the verdicts of each rule, counted over the tenant's living versions; with a time, what is waived then."""
    results, records = compliance_results, canonical_records
    of_tenant = results.c.tenant_id == session.tenant_id
    is_gone = and_(same_version(records, results), records.c.deleted_at.is_not(None))

    def counted(wanted: ColumnElement[bool], among: FromClause = results) -> Counter[tuple[str, str]]:
        rows = session.execute(
            select(results.c.rule_id, results.c.verdict, func.count())
            .select_from(among)
            .where(of_tenant, wanted)
            .group_by(results.c.rule_id, results.c.verdict)
        )
        return Counter({(rule_id, verdict): count for rule_id, verdict, count in rows})

    # All of them are in an index. What is gone is little: to look each verdict's record up would take seconds.
    living = counted(true())
    living.subtract(counted(is_gone, among=results.join(records, is_gone)))
    # Whether a gap is waived is asked of rules alone that have a waiver: of millions of gaps, it would take minutes.
    rules = {one.waiver.rule for one in waivers_in_force(session, at)} if at else set()
    waived: Counter[tuple[str, str]] = Counter()
    if at and rules:
        of_living = results.join(records, and_(same_version(records, results), records.c.deleted_at.is_(None)))
        is_covered = and_(results.c.verdict.in_(OPEN_VERDICTS), results.c.rule_id.in_(rules), is_waived(results, at))
        waived = counted(is_covered, among=of_living)
    return [RuleCount(*of, count, waived[of]) for of, count in living.items() if count]
