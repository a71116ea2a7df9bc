"""Open gaps of a tenant's living versions: their ages, and the worst gaps of each rule, in a few scans for all rules.

An anti join excludes waived gaps. A check of each verdict would take minutes for millions of verdicts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Final

from sqlalchemy import ColumnElement, case, func, select, true

from verifywise_mlflow.compliance.attention import OTHER_STAGE_RANK, STAGE_RANKS, Gap, UrgentGap, most_urgent
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.waivers import is_waived, waivers_in_force
from verifywise_mlflow.persistence.row_mapping import Key, is_one_of, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_results, compliance_verdicts

AGE_LIMITS_DAYS: Final = (7, 30, 90)
"""Upper limits of the age groups, in whole days; the last group has no limit."""
WORST_GAPS_PER_RULE: Final = 5
"""Gaps of each rule that are listed individually."""


@dataclass(frozen=True, slots=True)
class OpenGaps:
    """The gaps of a rule that no waiver covers, by age."""

    by_age: tuple[int, ...]
    """The number of gaps in each age group of ``AGE_LIMITS_DAYS``, and of older ones."""
    oldest: datetime
    """When the oldest gap opened."""


@dataclass(frozen=True, slots=True)
class GapCohort:
    """The gaps of a rule that opened at the same time."""

    open_since: datetime
    count: int


def group_by_age(opened: Collection[GapCohort], at: datetime) -> OpenGaps | None:
    """Group gaps by their age at a time, which must not be before they were counted; None if there are none."""
    if not opened:
        return None
    by_age = [0] * (len(AGE_LIMITS_DAYS) + 1)
    for cohort in opened:
        # A gap that is 7.9 days old is 7 whole days old.
        by_age[bisect_left(AGE_LIMITS_DAYS, (at - cohort.open_since).days)] += cohort.count
    return OpenGaps(tuple(by_age), min(cohort.open_since for cohort in opened))


def worst_gaps(session: TenantSession, at: datetime, *, per_rule: int = WORST_GAPS_PER_RULE) -> Mapping[str, list[Gap]]:
    """Return up to `per_rule` gaps of each rule that no waiver covers at a time, in the order of ``most_urgent``."""
    results, records = compliance_verdicts, canonical_records
    place = func.row_number().over(
        partition_by=results.c.rule_id,
        order_by=(
            case(STAGE_RANKS, value=records.c.lifecycle_stage, else_=OTHER_STAGE_RANK),
            _open_since(),
            (results.c.verdict == Verdict.FAIL).desc(),
            results.c.model_name,
            results.c.version_number.desc(),
        ),
    )
    identity = (results.c.model_name, results.c.version_number, results.c.rule_id)
    ranked = (
        select(
            *identity, records.c.lifecycle_stage, results.c.verdict, _open_since().label("since"), place.label("place")
        )
        .select_from(results.join(records, same_version(records, results)))
        .where(*_open(session.tenant_id), records.c.deleted_at.is_(None), _is_not_waived(session, at))
        .subquery()
    )
    # Texts are fetched for the worst gaps only: in the ranking query they would be sorted with all other rows.
    worst = session.execute(select(ranked).where(ranked.c.place <= per_rule).order_by(ranked.c.rule_id, "place")).all()
    reasons = gap_texts(session, {(row.model_name, row.version_number) for row in worst})
    gaps_by_rule: defaultdict[str, list[Gap]] = defaultdict(list)
    for name, number, rule_id, stage, verdict, since, _ in worst:
        reason = reasons.get((name, number, rule_id), "")  # it changed since
        gaps_by_rule[rule_id].append(Gap(rule_id, name, number, stage, verdict, reason, since))
    return gaps_by_rule


def gap_texts(session: TenantSession, keys: Collection[Key]) -> Mapping[tuple[str, int, str], str]:
    """Return the reasons of the open gaps of some versions, by model name, version number and rule ID."""
    results = compliance_results
    if not keys:
        return {}
    rows = session.execute(
        select(results.c.model_name, results.c.version_number, results.c.rule_id, results.c.reason).where(
            results.c.tenant_id == session.tenant_id, results.c.verdict.in_(OPEN_VERDICTS), is_one_of(results, keys)
        )
    )
    return {(name, number, rule_id): reason for name, number, rule_id, reason in rows}


def urgent_gaps(
    session: TenantSession, at: datetime, severities: Mapping[str, Severity], limit: int
) -> list[UrgentGap]:
    """Return the gaps that most need a person at a time, up to `limit` of all rules; `severities` by rule ID."""
    gaps = chain.from_iterable(worst_gaps(session, at, per_rule=limit).values())
    return most_urgent(gaps, severities, limit)


def _open(tenant_id: str) -> tuple[ColumnElement[bool], ...]:
    return (compliance_verdicts.c.tenant_id == tenant_id, compliance_verdicts.c.verdict.in_(OPEN_VERDICTS))


def _open_since() -> ColumnElement[datetime]:
    # A verdict that somebody inserted by hand has no open_since.
    return func.coalesce(compliance_verdicts.c.open_since, compliance_verdicts.c.evaluated_at)


def _is_not_waived(session: TenantSession, at: datetime) -> ColumnElement[bool]:
    return ~is_waived(compliance_verdicts, at) if waivers_in_force(session, at) else true()
