"""The numbers of open gaps by age, and the reasons of some gaps. ``gaps`` lists and counts the gaps themselves."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from verifywise_mlflow.persistence.repositories.verdict_bulk_writer import OPEN_VERDICTS
from verifywise_mlflow.persistence.row_mapping import Key, is_one_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import compliance_results

AGE_LIMITS_DAYS: Final = (7, 30, 90)
"""Upper limits of the age groups, in whole days; the last group has no limit."""
WORST_GAPS_PER_RULE: Final = 5
"""The number of gaps of each rule that are listed individually."""


@dataclass(frozen=True, slots=True)
class OpenGaps:
    """The gaps of a rule that no waiver covers, by age."""

    by_age: tuple[int, ...]
    """The number of gaps in each age group of ``AGE_LIMITS_DAYS``, and of older gaps."""
    oldest: datetime
    """When the oldest gap opened."""


@dataclass(frozen=True, slots=True)
class GapCohort:
    """The gaps of a rule that opened at the same time."""

    open_since: datetime
    count: int


def group_by_age(opened: Collection[GapCohort], at: datetime) -> OpenGaps | None:
    """Group gaps by their age at a given time, which must not be before the gaps were counted; None without gaps."""
    if not opened:
        return None
    by_age = [0] * (len(AGE_LIMITS_DAYS) + 1)
    for cohort in opened:
        # A gap that is 7.9 days old is 7 whole days old.
        by_age[bisect_left(AGE_LIMITS_DAYS, (at - cohort.open_since).days)] += cohort.count
    return OpenGaps(tuple(by_age), min(cohort.open_since for cohort in opened))


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
