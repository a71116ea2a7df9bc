"""When a tenant is late. The check ``fresh``, the sensor ``late_tenants`` and the alert all ask here. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from verifywise_mlflow.tenants.tenant import Intervals

GRACE = timedelta(minutes=10)
"""For the queue and the sync itself."""

_LONGEST = timedelta(days=36_500)
"""An interval may be as long as timedelta can say; twice that is more than it can."""


@dataclass(frozen=True, slots=True)
class StageAge:
    """How long ago a stage was gone through."""

    stage: str
    gone_through_at: datetime | None
    """Null: never."""
    is_late: bool


def late_after(intervals: Intervals) -> timedelta:
    """Return how long after a stage was gone through it is late: two of the tenant's intervals were missed by then."""
    return intervals.late_after or 2 * min(intervals.reconcile, _LONGEST) + GRACE


def ages(
    gone_through: Mapping[str, datetime | None], intervals: Intervals, *, known_since: datetime, now: datetime
) -> list[StageAge]:
    """Return each stage's age.

    Args:
        gone_through: when each stage was gone through last; null where it never was.
        intervals: the tenant's.
        known_since: when the tenant was first described: what never was gone through is as old as that.
        now: the time.
    """
    allowed = late_after(intervals)
    return [StageAge(stage, at, is_late=now - (at or known_since) > allowed) for stage, at in gone_through.items()]


def told(aged: Iterable[StageAge]) -> str | None:
    """Return which stages are late, in a sentence without its full stop; null where none is."""
    late: dict[str, list[str]] = {}
    for one in aged:
        if one.is_late:
            when = f"since {one.gone_through_at:%Y-%m-%d %H:%M} UTC" if one.gone_through_at else "ever"
            late.setdefault(when, []).append(one.stage)
    if not late:
        return None
    return "not gone through in time: " + "; ".join(f"{', '.join(stages)}, not {when}" for when, stages in late.items())
