"""How old a stage may become. Dagster's policies hold for a whole asset, so each tenant has a check beside them.

One busy tenant keeps an asset's policy green while all others were never synced: the policy tells that syncing as a
whole stands still, the check ``fresh`` tells of whom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg

from verifywise_mlflow.persistence.tenancy import Refresh
from verifywise_mlflow.pipeline.stage import Stage

POLICY = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=6), warn_window=timedelta(hours=2))
"""Schedules look at every tenant each hour: two missed ones are worth a look, six are an outage."""

GRACE = timedelta(minutes=10)
"""For the queue and the sync itself."""


@dataclass(frozen=True, slots=True)
class StageAge:
    """How long ago a stage was gone through."""

    stage: Stage
    refreshed_at: datetime | None
    is_late: bool


def ages(refreshes: Mapping[str, Refresh], *, reconcile: timedelta, now: datetime) -> list[StageAge]:
    """Return each stage's age; it is late where two of the tenant's intervals have passed, or where it never ran."""
    allowed = 2 * reconcile + GRACE
    seen = {stage: refreshes[stage].refreshed_at if stage in refreshes else None for stage in Stage}
    return [StageAge(stage, at, is_late=at is None or now - at > allowed) for stage, at in seen.items()]
