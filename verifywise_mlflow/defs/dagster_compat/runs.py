"""Runs: the types of a run coordinator and of a run launcher, and what Dagster stores about a run."""

from __future__ import annotations

import dagster as dg
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionsFilter, BulkActionStatus
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext

__all__ = [
    "CheckRunHealthResult",
    "LaunchRunContext",
    "QueuedRunCoordinator",
    "SubmitRunContext",
    "WorkerStatus",
    "active_backfill_ids",
    "code_location_of",
]


def active_backfill_ids(instance: dg.DagsterInstance) -> frozenset[str]:
    """Return the backfills that have not ended."""
    active = [status for status in BulkActionStatus if status not in BULK_ACTION_TERMINAL_STATUSES]
    backfills = instance.get_backfills(filters=BulkActionsFilter(statuses=active))
    return frozenset(backfill.backfill_id for backfill in backfills)


def code_location_of(run: dg.DagsterRun) -> str | None:
    """Return the label of a run's code location; None for a run that was started without one."""
    return run.remote_job_origin.repository_origin.get_label() if run.remote_job_origin else None
