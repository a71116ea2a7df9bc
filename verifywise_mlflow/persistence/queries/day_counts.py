"""How many versions of a tenant had each badge, and each verdict of each rule, on past days.

A badge or verdict that lasted for less than a day may be missing. A version counts as long as MLflow has it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Generic, TypeAlias, TypeVar

from sqlalchemy import Date, Select, cast, func, select, text

from verifywise_mlflow.compliance.verdict import Verdict
from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.queries.history import badge_states
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA, canonical_records

What = TypeVar("What", bound=Hashable)
RuleVerdict: TypeAlias = tuple[str, str]
"""A rule's ID, and a verdict."""


@dataclass(frozen=True, slots=True)
class DayCounts(Generic[What]):
    """The numbers of versions at the end of a day, UTC."""

    day: date
    versions: Mapping[What, int]


def badges_by_day(session: TenantSession, until: datetime, max_points: int) -> list[DayCounts[str]]:
    """Return how many versions had each badge on some days from the tenant's first badge to ``until``.

    The days are evenly spaced, except that the last interval may be shorter.
    """
    return _by_day(session.execute(_badge_spans(session)).tuples(), until, max_points)


def verdicts_by_day(session: TenantSession, until: datetime, max_points: int) -> list[DayCounts[RuleVerdict]]:
    """Return how many versions had each verdict of each rule on some days from the first verdict to ``until``.

    The days are spaced as in ``badges_by_day``. As in the compliance score, archived versions and ``not applicable``
    are left out.
    """
    spans = session.execute(
        _VERDICT_SPANS, {"tenant_id": escape(session.tenant_id), "not_applicable": Verdict.NOT_APPLICABLE.value}
    ).tuples()
    return _by_day(
        (((rule, verdict), begin, end, count) for rule, verdict, begin, end, count in spans), until, max_points
    )


def _by_day(
    spans: Iterable[tuple[What, date, date | None, int]], until: datetime, max_points: int
) -> list[DayCounts[What]]:
    """Return the counts of days from spans: badge or verdict, first day, day of the end, and number of versions."""
    changes: defaultdict[date, Counter[What]] = defaultdict(Counter)
    for what, begin, end, count in spans:
        changes[begin][what] += count
        if end is not None:
            changes[max(begin, end)][what] -= count
    last = until.astimezone(UTC).date()
    if not changes or min(changes) > last:
        return []
    shown = set(_evenly(min(changes), last, max_points))
    points, current = [], Counter[What]()
    for day in sorted({*changes, *shown}):
        if day > last:
            break
        current.update(changes.get(day, {}))
        if day in shown:
            points.append(DayCounts(day, {what: count for what, count in current.items() if count > 0}))
    return points


def _badge_spans(session: TenantSession) -> Select[tuple[str, date, date | None, int]]:
    states, records = badge_states, canonical_records
    begin = cast(func.timezone("UTC", states.c.valid_from), Date)
    end = cast(func.timezone("UTC", func.least(states.c.valid_to, records.c.deleted_at)), Date)
    return (
        select(states.c.badge, begin, end, func.count())
        .select_from(states.join(records, same_version(states, records)))
        .where(states.c.tenant_id == session.tenant_id)
        .group_by(states.c.badge, begin, end)
    )


# The query reads the arrays of the tables. The views would also expand the texts of each verdict.
_VERDICT_SPANS = text(
    f"""
    SELECT r.rule_id, r.verdict,
           (greatest(r.evaluated_at, s.valid_from) AT TIME ZONE 'UTC')::date AS first_day,
           (least(v.valid_to, s.valid_to) AT TIME ZONE 'UTC')::date AS end_day,
           count(*)
    FROM (
        SELECT model_name, version_number, rule_ids, verdicts, evaluated_at, NULL::timestamptz AS valid_to
        FROM {SCHEMA}.version_verdicts WHERE tenant_id = :tenant_id
        UNION ALL
        SELECT model_name, version_number, rule_ids, verdicts, evaluated_at, valid_to
        FROM {SCHEMA}.version_verdict_history WHERE tenant_id = :tenant_id
    ) AS v
    CROSS JOIN LATERAL unnest(v.rule_ids, v.verdicts, v.evaluated_at) AS r (rule_id, verdict, evaluated_at)
    JOIN {SCHEMA}.canonical_record_states AS s
        ON s.tenant_id = :tenant_id AND s.model_name = v.model_name AND s.version_number = v.version_number
        AND r.evaluated_at < coalesce(s.valid_to, 'infinity') AND s.valid_from < coalesce(v.valid_to, 'infinity')
    WHERE s.lifecycle_stage IS DISTINCT FROM 'archived' AND s.deleted_at IS NULL AND r.verdict <> :not_applicable
    GROUP BY 1, 2, 3, 4
    """  # noqa: S608  # the schema's name is a constant
)


def _evenly(first: date, last: date, count: int) -> Sequence[date]:
    """Return evenly spaced days from the first to the last day, both included."""
    days = (last - first).days
    step = max(1, -(-days // max(count - 1, 1)))
    return [*(first + timedelta(days=offset) for offset in range(0, days, step)), last]
