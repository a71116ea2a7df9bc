"""Deletes old runs of Dagster, so many at a time, with all that Dagster keeps of them."""

# No `from __future__ import annotations` here: Dagster reads the op's annotations as types.

import os
import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import dagster as dg
from dagster import DagsterRunStatus as Status
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES, BulkActionsFilter, BulkActionStatus
from dagster._core.storage.event_log import SqlEventLogStorage

from verifywise_mlflow.defs.assets.external_assets import mlflow_server
from verifywise_mlflow.defs.run_queue.policy import BACKFILL, PARTITION, SYNC_JOB
from verifywise_mlflow.defs.schedules.run_retention import UNCHANGED, EndedRun, Kept, Line, Needed, may_go
from verifywise_mlflow.persistence import dagster_events
from verifywise_mlflow.pipeline.context import Stage

AT_ONCE = 2_000
"""Runs that a tick deletes. 500 tenants with a sync an hour make 500 an hour."""
LONGEST = timedelta(minutes=10)
_PAGE = 200
_LOOKED_AT = 10
"""Of the newest successful runs of a line, for one that went through all stages."""

_REPOSITORY = ".dagster/repository"
"""The tag under which Dagster finds a code location's runs."""
_REPORTED_OF = [key.to_string() for key in (dg.AssetKey(Stage.CANONICAL_RECORDS.value), mlflow_server.key)]
"""What our sensors tell of without a run."""

_ENDED = [Status.SUCCESS, Status.FAILURE, Status.CANCELED]


@dg.op
def delete_runs(context: dg.OpExecutionContext) -> None:
    """Delete what the variables let go."""
    ours = code_location_of(context.run)
    deleted = delete_old_runs_of(context.instance, ours, Kept.by(os.environ), datetime.now(UTC))
    context.log.info(f"{deleted:,} runs deleted, of {AT_ONCE:,} at most")


@dg.job(
    tags={UNCHANGED: "true", "dagster/priority": "-5"},
    description="Deletes runs of this code location that ended long ago, with their events: those that changed "
    "nothing after VERIFYWISE_KEEP_UNCHANGED_RUNS_DAYS, all others after VERIFYWISE_KEEP_RUNS_DAYS. The newest "
    "successful one of each tenant stays, and so does all of our own history, which is in our store.",
)
def delete_old_runs() -> None:
    """Delete old runs."""
    delete_runs()


hourly_run_deletion = dg.ScheduleDefinition(
    name="hourly_run_deletion",
    job=delete_old_runs,
    cron_schedule="23 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)


def code_location_of(run: dg.DagsterRun) -> str | None:
    """Return the code location that a run is of, as Dagster names it; null for one that was begun without any."""
    return run.remote_job_origin.repository_origin.get_label() if run.remote_job_origin else None


def delete_old_runs_of(instance: dg.DagsterInstance, ours: str | None, kept: Kept, now: datetime) -> int:
    """Delete the runs of a code location that may go, the oldest first; return how many those were.

    Others share the instance, perhaps with jobs and partitions of the same names.
    """
    began, deleted = time.monotonic(), 0
    going = _going(instance, ours, kept, now)
    storage = instance.event_log_storage
    checks: Collection[dagster_events.Check] | None = None
    while page := list(islice(going, _PAGE)):
        if isinstance(storage, SqlEventLogStorage):  # all that Dagster has are
            # First of all: what is left of a run that is gone would be found no more.
            with storage.index_connection() as connection:
                checks = dagster_events.checks_with_results(connection) if checks is None else checks
                dagster_events.forget_check_results(connection, checks, page)
        for run_id in page:
            instance.delete_run(run_id)
            instance.compute_log_manager.delete_logs(prefix=[run_id])
        deleted += len(page)
        if time.monotonic() - began > LONGEST.total_seconds():
            return deleted
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            dagster_events.forget_superseded_reports(connection, _REPORTED_OF, now - kept.runs)
    return deleted


def _going(instance: dg.DagsterInstance, ours: str | None, kept: Kept, now: datetime) -> Iterator[str]:
    """Yield the runs that may go. They are chosen before the first is deleted: Dagster pages by runs."""
    old = list(islice(_old(instance, ours, kept, now), AT_ONCE * 2))
    needed = Needed(_newest(instance, ours, {run.line for run in old}), _backfills(instance), _tried_again(instance))
    yield from islice((run.run_id for run in old if may_go(run, kept, needed, now)), AT_ONCE)


def _old(instance: dg.DagsterInstance, ours: str | None, kept: Kept, now: datetime) -> Iterator[EndedRun]:
    """Yield the runs that are old enough, each once, but for what else is needed of them."""
    seen: set[str] = set()
    for filters in (
        dg.RunsFilter(statuses=_ENDED, tags=_of(ours) | {UNCHANGED: "true"}, created_before=now - kept.unchanged),
        dg.RunsFilter(statuses=[Status.CANCELED], tags=_of(ours), created_before=now - kept.unchanged),
        dg.RunsFilter(statuses=_ENDED, tags=_of(ours), created_before=now - kept.runs),
    ):
        cursor = None
        while page := instance.get_run_records(filters, limit=_PAGE, ascending=True, cursor=cursor):
            cursor = page[-1].dagster_run.run_id
            fresh = [record for record in page if record.dagster_run.run_id not in seen]
            seen.update(record.dagster_run.run_id for record in fresh)
            yield from (_ended(record) for record in fresh if code_location_of(record.dagster_run) == ours)


def _of(ours: str | None) -> dict[str, str]:
    """Return the tags to look for; for runs of no code location there are none, and each is looked at."""
    return {_REPOSITORY: ours} if ours else {}


def _ended(record: dg.RunRecord) -> EndedRun:
    run = record.dagster_run
    succeeded = run.status is Status.SUCCESS
    never_began = run.status is Status.CANCELED and record.start_time is None
    return EndedRun(
        run_id=run.run_id,
        line=_line(run),
        created_at=record.create_timestamp,
        succeeded=succeeded,
        did_nothing=never_began or (succeeded and UNCHANGED in run.tags),
        backfill=run.tags.get(BACKFILL),
    )


def _line(run: dg.DagsterRun) -> Line:
    tenant = run.tags.get(PARTITION)
    return (SYNC_JOB, tenant) if tenant else (run.job_name, None)


def _newest(instance: dg.DagsterInstance, ours: str | None, lines: Collection[Line]) -> dict[Line, datetime]:
    newest: dict[Line, datetime] = {}
    for line in lines:
        job, tenant = line
        of_line = _of(ours) | ({PARTITION: tenant} if tenant else {})
        succeeded = dg.RunsFilter(statuses=[Status.SUCCESS], job_name=job, tags=of_line)
        for record in instance.get_run_records(succeeded, limit=_LOOKED_AT):
            if code_location_of(record.dagster_run) == ours and _went_through_all(record.dagster_run):
                newest[line] = record.create_timestamp
                break
    return newest


def _went_through_all(run: dg.DagsterRun) -> bool:
    """Return whether no stage was left out: a run that is tried again goes through the stages that had failed alone."""
    if run.job_name != SYNC_JOB:
        return True
    steps, assets = run.step_keys_to_execute, run.asset_selection
    stages = {stage.value for stage in Stage}
    # Dagster has nothing here, or an empty set, where nothing was chosen.
    return stages <= set(steps or stages) and (not assets or {dg.AssetKey(stage) for stage in stages} <= assets)


def _backfills(instance: dg.DagsterInstance) -> frozenset[str]:
    under_way = [status for status in BulkActionStatus if status not in BULK_ACTION_TERMINAL_STATUSES]
    found = instance.get_backfills(filters=BulkActionsFilter(statuses=under_way))
    return frozenset(backfill.backfill_id for backfill in found)


def _tried_again(instance: dg.DagsterInstance) -> frozenset[str]:
    under_way = [status for status in Status if status not in _ENDED]
    runs = instance.get_runs(dg.RunsFilter(statuses=under_way))
    return frozenset(one for run in runs for one in (run.parent_run_id, run.root_run_id) if one)
