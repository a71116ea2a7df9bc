"""Open gaps of a tenant's living versions: how many, since when, and the worst of each rule. A few scans for all rules.

What a waiver covers is told apart by an anti join. Asked verdict by verdict, of millions it would take minutes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, select, true, tuple_

from verifywise_mlflow.persistence.rows import same_version
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, compliance_results
from verifywise_mlflow.persistence.verdict_rows import OPEN
from verifywise_mlflow.persistence.waivers import holding, is_waived

AGES: Final = (7, 30, 90)
"""Days that a gap may have been open to be of an age; the last age has no end."""


@dataclass(frozen=True, slots=True)
class OpenGaps:
    """The gaps of a rule that no waiver covers."""

    by_age: tuple[int, ...]
    """How many are open up to so many whole days as ``AGES`` says, and how many longer."""
    oldest: datetime
    """Since when the oldest is open."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A version's verdict that is open."""

    rule_id: str
    model_name: str
    version_number: int
    lifecycle_stage: str | None
    verdict: str
    reason: str
    open_since: datetime
    is_waived: bool


def open_gaps(connection: Connection, tenant_id: str, at: datetime) -> dict[str, OpenGaps]:
    """Return the gaps of each rule that has any which no waiver covers at a time."""
    results = compliance_results
    since = _open_since()
    # A gap that is 7.9 days old is 7 whole days old.
    bounds = [at - timedelta(days=days + 1) for days in AGES]
    ages = [since > bounds[0]]
    ages += [and_(since <= younger, since > older) for younger, older in pairwise(bounds)]
    ages.append(since <= bounds[-1])
    rules = _rules_with_waivers(connection, tenant_id, at)
    query = (
        select(results.c.rule_id, *(func.count().filter(age) for age in ages), func.min(since))
        .select_from(results.join(canonical_records, same_version(canonical_records, results)))
        .where(*_of_living(tenant_id), ~is_waived(results, at) if rules else true())
        .group_by(results.c.rule_id)
    )
    return {rule_id: OpenGaps(tuple(by_age), oldest) for rule_id, *by_age, oldest in connection.execute(query)}


def worst_gaps(connection: Connection, tenant_id: str, at: datetime, *, each: int = 20) -> Mapping[str, list[Gap]]:
    """Return up to so many gaps of each rule: production first, then what failed, then the oldest; the waived last."""
    rules = _rules_with_waivers(connection, tenant_id, at)
    waived = is_waived(compliance_results, at)
    found: defaultdict[str, list[Gap]] = defaultdict(list)
    for gap in _worst(connection, tenant_id, each, ~waived if rules else true(), are_waived=False):
        found[gap.rule_id].append(gap)
    if short := [rule_id for rule_id in rules if len(found[rule_id]) < each]:
        wanted = and_(compliance_results.c.rule_id.in_(short), waived)
        for gap in _worst(connection, tenant_id, each, wanted, are_waived=True):
            if len(found[gap.rule_id]) < each:
                found[gap.rule_id].append(gap)
    return found


def badge_counts(connection: Connection, tenant_id: str) -> Mapping[str | None, int]:
    """Return how many living versions have each badge; under None, those that were not judged."""
    records, badges = canonical_records, compliance_badges
    same = same_version(badges, records)
    query = (
        select(badges.c.badge, func.count())
        .select_from(records.outerjoin(badges, same))
        .where(records.c.tenant_id == tenant_id, records.c.gone_at.is_(None))
        .group_by(badges.c.badge)
    )
    return dict(connection.execute(query).tuples().all())


def _worst(
    connection: Connection, tenant_id: str, each: int, wanted: ColumnElement[bool], *, are_waived: bool
) -> list[Gap]:
    results, records = compliance_results, canonical_records
    place = func.row_number().over(
        partition_by=results.c.rule_id,
        order_by=(
            (records.c.lifecycle_stage == "production").desc().nulls_last(),
            (results.c.verdict == "fail").desc(),
            _open_since(),
            results.c.model_name,
            results.c.version_number.desc(),
        ),
    )
    identity = (results.c.model_name, results.c.version_number, results.c.rule_id)
    ranked = (
        select(*identity, records.c.lifecycle_stage, place.label("place"))
        .select_from(results.join(records, same_version(records, results)))
        .where(*_of_living(tenant_id), wanted)
        .subquery()
    )
    # The texts are fetched for the worst alone: carried along, they would be sorted with all the others.
    worst = connection.execute(select(ranked).where(ranked.c.place <= each).order_by(ranked.c.rule_id, "place")).all()
    texts = select(*identity, results.c.verdict, results.c.reason, _open_since()).where(
        results.c.tenant_id == tenant_id, tuple_(*identity).in_([tuple(row[:3]) for row in worst])
    )
    told = {tuple(row[:3]): row[3:] for row in connection.execute(texts)}
    return [
        Gap(rule_id, name, number, stage, verdict, reason, since, are_waived)
        for name, number, rule_id, stage, _ in worst
        for verdict, reason, since in [told[name, number, rule_id]]
    ]


def _of_living(tenant_id: str) -> tuple[ColumnElement[bool], ...]:
    results = compliance_results
    return (results.c.tenant_id == tenant_id, canonical_records.c.gone_at.is_(None), results.c.verdict.in_(OPEN))


def _open_since() -> ColumnElement[datetime]:
    # A verdict that somebody inserted by hand says nothing of it.
    return func.coalesce(compliance_results.c.open_since, compliance_results.c.evaluated_at)


def _rules_with_waivers(connection: Connection, tenant_id: str, at: datetime) -> list[str]:
    return sorted({one.waiver.rule for one in holding(connection, tenant_id, at)})
