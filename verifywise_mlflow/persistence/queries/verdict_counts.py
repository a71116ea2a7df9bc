"""Counts of each rule's verdicts over the living versions of a tenant."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, FromClause, and_, func, select, true

from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.waivers import is_waived, waivers_in_force
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_verdicts


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many living versions of a tenant have a verdict of a rule."""

    rule_id: str
    verdict: str
    versions: int
    waived: int
    """How many of these verdicts are gaps that a waiver covers."""


def rule_counts(session: TenantSession, at: datetime | None = None) -> list[RuleCount]:
    """Count the verdicts of each rule on living versions and, if ``at`` is given, the gaps waived at that time."""
    results, records = compliance_verdicts, canonical_records
    of_tenant = results.c.tenant_id == session.tenant_id
    is_deleted = and_(same_version(records, results), records.c.deleted_at.is_not(None))

    def counted(condition: ColumnElement[bool], among: FromClause = results) -> Counter[tuple[str, str]]:
        rows = session.execute(
            select(results.c.rule_id, results.c.verdict, func.count())
            .select_from(among)
            .where(of_tenant, condition)
            .group_by(results.c.rule_id, results.c.verdict)
        )
        return Counter({(rule_id, verdict): count for rule_id, verdict, count in rows})

    # All verdicts are counted from an index, and the few verdicts on deleted versions are subtracted. Looking up the
    # record of each verdict would take seconds.
    living = counted(true())
    living.subtract(counted(is_deleted, among=results.join(records, is_deleted)))
    # Only rules with a waiver are checked for waived gaps: checking millions of gaps would take minutes.
    rules = {stored.waiver.rule for stored in waivers_in_force(session, at)} if at else set()
    waived: Counter[tuple[str, str]] = Counter()
    if at and rules:
        of_living = results.join(records, and_(same_version(records, results), records.c.deleted_at.is_(None)))
        is_covered = and_(results.c.verdict.in_(OPEN_VERDICTS), results.c.rule_id.in_(rules), is_waived(results, at))
        waived = counted(is_covered, among=of_living)
    return [RuleCount(*group, count, waived[group]) for group, count in living.items() if count]
