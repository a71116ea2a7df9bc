"""How often each rule gave each verdict, over the living versions of a tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from verifywise_mlflow.persistence.rows import same_version
from verifywise_mlflow.persistence.tables import canonical_records, compliance_results
from verifywise_mlflow.persistence.verdict_rows import OPEN
from verifywise_mlflow.persistence.waivers import holding, is_waived


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule gave a verdict, over the living versions of a tenant."""

    rule_id: str
    verdict: str
    versions: int
    waived: int
    """Of those, the gaps that a waiver covers."""


def rule_counts(connection: Connection, tenant_id: str, at: datetime | None = None) -> list[RuleCount]:
    """Return the verdicts of each rule, counted over the tenant's living versions; with a time, what is waived then."""
    results = compliance_results
    of_living = (results.c.tenant_id == tenant_id, canonical_records.c.gone_at.is_(None))

    def counted(*wanted: ColumnElement[bool]) -> dict[tuple[str, str], int]:
        rows = connection.execute(
            select(results.c.rule_id, results.c.verdict, func.count())
            .select_from(results.join(canonical_records, same_version(canonical_records, results)))
            .where(*of_living, *wanted)
            .group_by(results.c.rule_id, results.c.verdict)
        )
        return {(rule_id, verdict): count for rule_id, verdict, count in rows}

    # Whether a gap is waived is asked of rules alone that have a waiver: of millions of gaps, it would take minutes.
    rules = {one.waiver.rule for one in holding(connection, tenant_id, at)} if at else set()
    waived = {}
    if at and rules:
        waived = counted(results.c.verdict.in_(OPEN), results.c.rule_id.in_(rules), is_waived(results, at))
    return [RuleCount(*of, count, waived.get(of, 0)) for of, count in counted().items()]
