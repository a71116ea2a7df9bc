"""When a tenant is stale: one definition for the check ``fresh``, the sensor ``stale_tenants`` and the alert. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from verifywise_mlflow.tenants.intervals import Intervals

GRACE = timedelta(minutes=10)
"""The time for the run queue and for the sync itself. It is added to the two intervals after which a stage is stale."""

_MAX_INTERVAL = timedelta(days=36_500)
"""The longest interval that is used in the computation: twice the maximum of ``timedelta`` overflows."""


@dataclass(frozen=True, slots=True)
class StageFreshness:
    """When a stage was last completed, and whether this was too long ago."""

    stage: str
    last_completed_at: datetime | None
    """None if the stage was never completed."""
    is_stale: bool


def stale_after(intervals: Intervals) -> timedelta:
    """Return how long after its last completion a stage is stale: by default, twice ``reconcile`` plus ``GRACE``."""
    return intervals.stale_after or 2 * min(intervals.reconcile, _MAX_INTERVAL) + GRACE


def stage_freshness(
    last_completed: Mapping[str, datetime | None], intervals: Intervals, *, known_since: datetime, now: datetime
) -> list[StageFreshness]:
    """Return the freshness of each stage.

    Args:
        last_completed: when each stage was last completed, in UTC; None for a stage that was never completed.
        intervals: the tenant's intervals.
        known_since: when the tenant was added; the age of a stage that was never completed counts from this time.
        now: the current time.
    """
    max_age = stale_after(intervals)
    return [
        StageFreshness(stage, at, is_stale=now - (at or known_since) > max_age) for stage, at in last_completed.items()
    ]


def describe_staleness(stages: Iterable[StageFreshness]) -> str | None:
    """Return a sentence, without its full stop, that lists the stale stages; None if no stage is stale."""
    stale: dict[str, list[str]] = {}
    for stage in stages:
        if stage.is_stale:
            at = stage.last_completed_at
            when = f"last completed {at:%Y-%m-%d %H:%M} UTC" if at else "never completed"
            stale.setdefault(when, []).append(stage.stage)
    if not stale:
        return None
    return "stale stages: " + "; ".join(f"{', '.join(names)} ({when})" for when, names in stale.items())
