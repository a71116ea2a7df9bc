"""The job that deletes old runs, in batches, with everything that Dagster keeps for them."""

# No `from __future__ import annotations` here: Dagster reads the op's annotations as types.

import os
import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import dagster as dg
from dagster import DagsterRunStatus as Status

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.assets.external_assets import mlflow_server
from verifywise_mlflow.defs.dagster_compat.event_log import CheckResultDeletion, delete_superseded_runless_events
from verifywise_mlflow.defs.dagster_compat.runs import active_backfill_ids, code_location_of
from verifywise_mlflow.defs.run_queue.priorities import RUN_DELETION_PRIORITY
from verifywise_mlflow.defs.run_retention.retention_rules import (
    FinishedRun,
    ProtectedRuns,
    RetentionPeriods,
    RunSeries,
    is_deletable,
)
from verifywise_mlflow.defs.run_tags import (
    BACKFILL_TAG,
    DELIVERY_JOBS,
    PARTITION_TAG,
    PRIORITY_TAG,
    REPOSITORY_TAG,
    SYNC_JOB,
    UNCHANGED_TAG,
)

MAX_DELETIONS_PER_RUN = 2_000
"""The maximum number of runs that one execution deletes: 500 tenants with one sync an hour create 500 runs an hour."""
TIME_BUDGET = timedelta(minutes=10)
_PAGE_SIZE = 200
_MAX_SUCCESSES_CHECKED = 10
"""The maximum number of a series' newest successful runs that are searched for a run that covered all stages."""

_ASSETS_WITH_RUNLESS_EVENTS = (dg.AssetKey(Stage.CANONICAL_RECORDS.value), mlflow_server.key)
"""The assets for which our sensors report events: check results for the first asset, observations for the second
asset."""

_ENDED = [Status.SUCCESS, Status.FAILURE, Status.CANCELED]


@dg.op
def delete_runs(context: dg.OpExecutionContext) -> None:
    """Delete the runs of this code location that are past their retention period."""
    periods = RetentionPeriods.from_environment(os.environ)
    deleted = delete_expired_runs(context.instance, code_location_of(context.run), periods, datetime.now(UTC))
    context.log.info(f"deleted {deleted:,} runs (limit per run of this job: {MAX_DELETIONS_PER_RUN:,})")


@dg.job(
    tags={UNCHANGED_TAG: "true", PRIORITY_TAG: str(RUN_DELETION_PRIORITY)},
    description="Deletes old runs of this code location and their events. Runs that changed nothing are kept for "
    "VERIFYWISE_UNCHANGED_RUN_RETENTION_DAYS, all others for VERIFYWISE_RUN_RETENTION_DAYS. The newest successful run "
    "of each tenant is always kept. The history in the VerifyWise store is not affected.",
)
def delete_old_runs() -> None:
    """Delete old runs."""
    delete_runs()


hourly_run_deletion = dg.ScheduleDefinition(
    name="hourly_run_deletion",
    job=delete_old_runs,
    cron_schedule="23 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Starts the job delete_old_runs every hour.",
)


def delete_expired_runs(
    instance: dg.DagsterInstance, code_location: str | None, periods: RetentionPeriods, now: datetime
) -> int:
    """Delete the deletable runs of a code location, oldest first; return how many were deleted.

    Runs of other code locations stay: they may share the instance and even the names of jobs and partitions.
    """
    started, deleted = time.monotonic(), 0
    run_ids = _deletable_run_ids(instance, code_location, periods, now)
    check_results = CheckResultDeletion(instance)
    while page := list(islice(run_ids, _PAGE_SIZE)):
        check_results.delete(page)
        for run_id in page:
            instance.delete_run(run_id)
            instance.compute_log_manager.delete_logs(prefix=[run_id])
        deleted += len(page)
        if time.monotonic() - started > TIME_BUDGET.total_seconds():
            return deleted
    delete_superseded_runless_events(instance, _ASSETS_WITH_RUNLESS_EVENTS, now - periods.runs)
    return deleted


def _deletable_run_ids(
    instance: dg.DagsterInstance, code_location: str | None, periods: RetentionPeriods, now: datetime
) -> Iterator[str]:
    """Yield deletable runs. All runs are chosen before the first is deleted, since Dagster's page cursors are runs."""
    expired = list(islice(_expired_runs(instance, code_location, periods, now), MAX_DELETIONS_PER_RUN * 2))
    protected = ProtectedRuns(
        _newest_successes(instance, code_location, {run.series for run in expired}),
        active_backfill_ids(instance),
        _retried_run_ids(instance),
    )
    deletable = (run.run_id for run in expired if is_deletable(run, periods, protected, now))
    yield from islice(deletable, MAX_DELETIONS_PER_RUN)


def _expired_runs(
    instance: dg.DagsterInstance, code_location: str | None, periods: RetentionPeriods, now: datetime
) -> Iterator[FinishedRun]:
    """Yield each run that is past its retention period once, including protected runs."""
    seen: set[str] = set()
    tags = _location_tags(code_location)
    for filters in (
        dg.RunsFilter(statuses=_ENDED, tags=tags | {UNCHANGED_TAG: "true"}, created_before=now - periods.unchanged),
        dg.RunsFilter(statuses=[Status.CANCELED], tags=tags, created_before=now - periods.unchanged),
        dg.RunsFilter(statuses=_ENDED, tags=tags, created_before=now - periods.runs),
    ):
        cursor = None
        while page := instance.get_run_records(filters, limit=_PAGE_SIZE, ascending=True, cursor=cursor):
            cursor = page[-1].dagster_run.run_id
            new = [record for record in page if record.dagster_run.run_id not in seen]
            seen.update(record.dagster_run.run_id for record in new)
            yield from (
                _finished_run(record) for record in new if code_location_of(record.dagster_run) == code_location
            )


def _location_tags(code_location: str | None) -> dict[str, str]:
    """Return tags to filter by. Runs without a code location have no such tag and are compared one by one."""
    return {REPOSITORY_TAG: code_location} if code_location else {}


def _finished_run(record: dg.RunRecord) -> FinishedRun:
    run = record.dagster_run
    is_success = run.status is Status.SUCCESS
    never_started = run.status is Status.CANCELED and record.start_time is None
    return FinishedRun(
        run_id=run.run_id,
        series=_series(run),
        created_at=record.create_timestamp,
        is_success=is_success,
        is_unchanged=never_started or (is_success and UNCHANGED_TAG in run.tags),
        backfill_id=run.tags.get(BACKFILL_TAG),
    )


def _series(run: dg.DagsterRun) -> RunSeries:
    tenant_id = run.tags.get(PARTITION_TAG)
    if tenant_id is None:
        return run.job_name, None
    return (run.job_name if run.job_name in DELIVERY_JOBS else SYNC_JOB), tenant_id


def _newest_successes(
    instance: dg.DagsterInstance, code_location: str | None, all_series: Collection[RunSeries]
) -> dict[RunSeries, datetime]:
    newest: dict[RunSeries, datetime] = {}
    for series in all_series:
        job_name, tenant_id = series
        tags = _location_tags(code_location) | ({PARTITION_TAG: tenant_id} if tenant_id else {})
        successes = dg.RunsFilter(statuses=[Status.SUCCESS], job_name=job_name, tags=tags)
        for record in instance.get_run_records(successes, limit=_MAX_SUCCESSES_CHECKED):
            if code_location_of(record.dagster_run) == code_location and _covers_all_stages(record.dagster_run):
                newest[series] = record.create_timestamp
                break
    return newest


def _covers_all_stages(run: dg.DagsterRun) -> bool:
    """Return whether a run included every stage: a retry from failure runs only the stages that had failed."""
    if run.job_name != SYNC_JOB:
        return True
    step_keys, asset_keys = run.step_keys_to_execute, run.asset_selection
    stages = {stage.value for stage in Stage}
    # Dagster stores None or an empty set if nothing was selected.
    return stages <= set(step_keys or stages) and (
        not asset_keys or {dg.AssetKey(stage) for stage in stages} <= asset_keys
    )


def _retried_run_ids(instance: dg.DagsterInstance) -> frozenset[str]:
    active = [status for status in Status if status not in _ENDED]
    runs = instance.get_runs(dg.RunsFilter(statuses=active))
    return frozenset(run_id for run in runs for run_id in (run.parent_run_id, run.root_run_id) if run_id)
