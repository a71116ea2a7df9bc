"""How many versions of a tenant had each badge on past days."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Date, Select, cast, func, select

from verifywise_mlflow.persistence.queries.history import badge_states
from verifywise_mlflow.persistence.row_mapping import same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records


@dataclass(frozen=True, slots=True)
class BadgesOnDay:
    """The badges at the end of a day, UTC."""

    day: date
    versions: Mapping[str, int]
    """Badge to the number of versions that MLflow had on the day."""


def badges_by_day(session: TenantSession, until: datetime, max_points: int) -> list[BadgesOnDay]:
    """Return the badges of a tenant's versions from the first evaluation to a day, at most `max_points` days, evenly apart.

    A badge counts until it changed or the version got a tombstone. One that lasted for less than a day may not count.
    """
    changes: defaultdict[date, Counter[str]] = defaultdict(Counter)
    for badge, begin, end, count in session.execute(_spans(session)).tuples():
        changes[begin][badge] += count
        if end is not None:
            changes[max(begin, end)][badge] -= count
    last = until.astimezone(UTC).date()
    if not changes or min(changes) > last:
        return []
    shown = set(_evenly(min(changes), last, max_points))
    points, current = [], Counter[str]()
    for day in sorted({*changes, *shown}):
        if day > last:
            break
        current.update(changes.get(day, {}))
        if day in shown:
            points.append(BadgesOnDay(day, {badge: count for badge, count in current.items() if count > 0}))
    return points


def _spans(session: TenantSession) -> Select[tuple[str, date, date | None, int]]:
    states, records = badge_states, canonical_records
    begin = cast(func.timezone("UTC", states.c.valid_from), Date)
    end = cast(func.timezone("UTC", func.least(states.c.valid_to, records.c.deleted_at)), Date)
    return (
        select(states.c.badge, begin, end, func.count())
        .select_from(states.join(records, same_version(states, records)))
        .where(states.c.tenant_id == session.tenant_id)
        .group_by(states.c.badge, begin, end)
    )


def _evenly(first: date, last: date, count: int) -> Sequence[date]:
    """Return days from the first to the last, both included."""
    days = (last - first).days
    step = max(1, -(-days // max(count - 1, 1)))
    return [*(first + timedelta(days=offset) for offset in range(0, days, step)), last]
