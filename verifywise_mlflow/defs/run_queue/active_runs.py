"""Which tenants have a sync queued or under way, or one that has just failed: they are not asked for again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
from dagster import DagsterRunStatus as Status

from verifywise_mlflow.defs.run_queue.policy import OF_A_SENSOR, PARTITION, PRIORITY, SYNC_JOB, urgency

_UNDER_WAY = [Status.QUEUED, Status.NOT_STARTED, Status.STARTING, Status.STARTED, Status.CANCELING]


@dataclass(frozen=True, slots=True)
class InFlight:
    """The syncs that have not ended, as a sensor sees them."""

    busy: frozenset[str]
    """The tenants of which one is under way, or will be as soon as a sensor's own would."""
    could_go_sooner: Mapping[str, str]
    """Of the other tenants that have one in the queue, that run: a backfill's, mostly, which may wait for an hour."""


def runs_in_flight(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the runs of tenants that have not ended, whoever asked for them.

    Of all jobs: what a person materializes on an asset's page, and a backfill's runs, are none of the tenants' job.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_UNDER_WAY))
    return [run for run in runs if PARTITION in run.tags]


def tenants_in_flight(instance: dg.DagsterInstance) -> set[str]:
    """Return the partition keys of the runs that have not ended."""
    return {run.tags[PARTITION] for run in runs_in_flight(instance)}


def seen_by_sensor(runs: Iterable[dg.DagsterRun]) -> InFlight:
    """Tell those that a sensor waits for from those that it can have begun sooner.

    A run of single assets, which waits, does neither: nobody knows whether it would read what is new.
    """
    busy, sooner = set(), {}
    for run in runs:
        is_sync, is_queued = run.job_name == SYNC_JOB, run.status is Status.QUEUED
        if is_sync and is_queued and urgency(run.tags) < OF_A_SENSOR:
            sooner[run.tags[PARTITION]] = run.run_id
        elif is_sync or not is_queued:
            busy.add(run.tags[PARTITION])
    return InFlight(frozenset(busy), {tenant_id: run for tenant_id, run in sooner.items() if tenant_id not in busy})


def let_go_sooner(instance: dg.DagsterInstance, run_id: str, priority: int) -> None:
    """Give a run in the queue another place there. Dagster's daemon looks at the tag whenever it takes runs out.

    Dagster writes the whole run with its tags, as it has just read it: of a run that has begun, it could undo what the
    run's own process writes.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status in (Status.QUEUED, Status.NOT_STARTED):
        instance.add_run_tags(run_id, {PRIORITY: str(priority)})


def tenants_that_failed(instance: dg.DagsterInstance, since: datetime) -> set[str]:
    """Return the partition keys of the runs that were asked for since then and failed, or were ended by somebody.

    What was taken out of the queue before it began asked no server: mostly another sync of the tenant made it needless.
    """
    ended = dg.RunsFilter(statuses=[Status.FAILURE, Status.CANCELED], created_after=since)
    return {
        record.dagster_run.tags[PARTITION]
        for record in instance.get_run_records(ended)
        if PARTITION in record.dagster_run.tags
        and (record.dagster_run.status is Status.FAILURE or record.start_time is not None)
    }
