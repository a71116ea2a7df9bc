"""Decides which Dagster runs may be deleted. Pure: periods, protected runs and the time are arguments.

Dagster itself deletes no runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from verifywise_mlflow.instance_settings import integer_setting

RunSeries: TypeAlias = tuple[str, str | None]
"""A job and a tenant, whose runs supersede one another. The tenant is None for a job that belongs to no tenant."""


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """How long runs are kept, counted from their creation."""

    runs: timedelta
    unchanged: timedelta
    """The period for runs that changed nothing. Never longer than ``runs``."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> RetentionPeriods:
        """Return the periods that the environment variables set.

        Raises:
            InvalidSettingError: a variable does not hold a number of days.
        """
        runs = timedelta(days=integer_setting(environment, "VERIFYWISE_RUN_RETENTION_DAYS"))
        unchanged = timedelta(days=integer_setting(environment, "VERIFYWISE_UNCHANGED_RUN_RETENTION_DAYS"))
        return cls(runs, min(runs, unchanged))


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run that has ended, reduced to the fields that decide about its deletion."""

    run_id: str
    series: RunSeries
    created_at: datetime
    is_success: bool
    is_unchanged: bool
    """Whether the run changed nothing, or was canceled before it started."""
    backfill_id: str | None


@dataclass(frozen=True, slots=True)
class ProtectedRuns:
    """Runs that stay regardless of their age."""

    newest_success: Mapping[RunSeries, datetime]
    """When the newest successful run that covered all stages of its series was created. Dagster's pages show the
    status, check results and metrics of that run as current; older runs are superseded."""
    active_backfills: frozenset[str]
    """Backfills under way: their runs stay, since Dagster counts them."""
    retried: frozenset[str]
    """The parent and root runs of retries under way."""


def is_deletable(run: FinishedRun, periods: RetentionPeriods, protected: ProtectedRuns, now: datetime) -> bool:
    """Return whether a run is past its retention period and not protected."""
    if now - run.created_at <= (periods.unchanged if run.is_unchanged else periods.runs):
        return False
    if run.backfill_id in protected.active_backfills or run.run_id in protected.retried:
        return False
    newest = protected.newest_success.get(run.series)
    return not run.is_success or (newest is not None and run.created_at < newest)
