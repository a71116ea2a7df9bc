"""Open gaps of a tenant's living versions: counts, ages, and the worst gaps of each rule, in a few scans for all rules.

An anti join excludes waived gaps. A check of each verdict would take minutes for millions of verdicts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from sqlalchemy import ColumnElement, Table, case, func, select, true

from verifywise_mlflow.compliance.attention import OTHER_STAGE_RANK, STAGE_RANKS, Gap, UrgentGap, most_urgent
from verifywise_mlflow.compliance.rules.rule import Severity
from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.repositories.waivers import is_waived, waivers_in_force
from verifywise_mlflow.persistence.row_mapping import is_one_of, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import (
    canonical_records,
    compliance_badges,
    compliance_results,
    compliance_verdicts,
)

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


def gap_cohorts(session: TenantSession, at: datetime) -> Mapping[str, list[GapCohort]]:
    """Return the gaps of each rule that no waiver covers at a time, grouped by when they opened.

    Gaps of the last age group form one cohort, dated by the oldest: they cannot change their group any more.
    """
    results, since = compliance_verdicts, _open_since()
    opened = case((since > at - timedelta(days=AGE_LIMITS_DAYS[-1] + 1), since))
    query = (
        select(results.c.rule_id, func.min(since), func.count())
        .where(
            *_open(session.tenant_id),
            ~_of_tombstone(),
            _is_not_waived(session, at),
        )
        .group_by(results.c.rule_id, opened)
    )
    cohorts: defaultdict[str, list[GapCohort]] = defaultdict(list)
    for rule_id, first, count in session.execute(query):
        cohorts[rule_id].append(GapCohort(first, count))
    return cohorts


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
        select(*identity, records.c.lifecycle_stage, place.label("place"))
        .select_from(results.join(records, same_version(records, results)))
        .where(*_open(session.tenant_id), records.c.deleted_at.is_(None), _is_not_waived(session, at))
        .subquery()
    )
    # Texts are fetched for the worst gaps only: in the ranking query they would be sorted with all other rows.
    worst = session.execute(select(ranked).where(ranked.c.place <= per_rule).order_by(ranked.c.rule_id, "place")).all()
    worded = compliance_results
    texts = select(
        *(worded.c[column.name] for column in identity), worded.c.verdict, worded.c.reason, _open_since(worded)
    )
    texts = texts.where(
        *_open(session.tenant_id, worded), is_one_of(worded, {(name, number) for name, number, *_ in worst})
    )
    texts_by_gap = {tuple(row[:3]): row[3:] for row in session.execute(texts)} if worst else {}
    gaps_by_rule: defaultdict[str, list[Gap]] = defaultdict(list)
    for name, number, rule_id, stage, _ in worst:
        gaps_by_rule[rule_id].append(Gap(rule_id, name, number, stage, *texts_by_gap[name, number, rule_id]))
    return gaps_by_rule


def urgent_gaps(
    session: TenantSession, at: datetime, severities: Mapping[str, Severity], limit: int
) -> list[UrgentGap]:
    """Return the gaps that most need a person at a time, up to `limit` of all rules; `severities` by rule ID."""
    gaps = chain.from_iterable(worst_gaps(session, at, per_rule=limit).values())
    return most_urgent(gaps, severities, limit)


def badge_counts(session: TenantSession) -> Mapping[str | None, int]:
    """Return how many living versions have each badge; None counts those that were not evaluated."""
    records, badges = canonical_records, compliance_badges
    same = same_version(badges, records)
    query = (
        select(badges.c.badge, func.count())
        .select_from(records.outerjoin(badges, same))
        .where(records.c.tenant_id == session.tenant_id, records.c.deleted_at.is_(None))
        .group_by(badges.c.badge)
    )
    return dict(session.execute(query).tuples().all())


def _open(tenant_id: str, results: Table = compliance_verdicts) -> tuple[ColumnElement[bool], ...]:
    return (results.c.tenant_id == tenant_id, results.c.verdict.in_(OPEN_VERDICTS))


def _of_tombstone() -> ColumnElement[bool]:
    # Tombstones are few and indexed: looking up the record of each verdict would take longer than everything else.
    records = canonical_records
    same = same_version(records, compliance_verdicts)
    return select(records.c.tenant_id).where(same, records.c.deleted_at.is_not(None)).exists()


def _open_since(results: Table = compliance_verdicts) -> ColumnElement[datetime]:
    # A verdict that somebody inserted by hand has no open_since.
    return func.coalesce(results.c.open_since, results.c.evaluated_at)


def _is_not_waived(session: TenantSession, at: datetime) -> ColumnElement[bool]:
    return ~is_waived(compliance_verdicts, at) if waivers_in_force(session, at) else true()
