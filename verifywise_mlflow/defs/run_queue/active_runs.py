"""Tenants with a queued or running sync, or with a recently failed one: no further sync is requested for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
from dagster import DagsterRunStatus as Status

from verifywise_mlflow.defs.run_queue.priorities import SENSOR_PRIORITY, TARGETED_PRIORITY, effective_priority
from verifywise_mlflow.defs.run_queue.queue_rules import SyncScope, sync_scope
from verifywise_mlflow.defs.run_tags import (
    DELIVERY_JOBS,
    DELIVERY_TAG,
    PARTITION_TAG,
    PRIORITY_TAG,
    SYNC_JOB,
    TARGETED_SYNC_JOB,
)

_ENDED = [Status.SUCCESS, Status.FAILURE, Status.CANCELED]
_MAX_ENDED_RUNS = 20
"""The maximum number of ended runs to read. Several are read, since some runs were canceled in the queue."""
_IN_FLIGHT = [Status.QUEUED, Status.NOT_STARTED, Status.STARTING, Status.STARTED, Status.CANCELING]


@dataclass(frozen=True, slots=True)
class InFlightSyncs:
    """The syncs that have not ended, from the point of view of a sensor that has found a change."""

    busy: frozenset[str]
    """Tenants whose sync is running, or will start no later than a sync that the sensor could request now."""
    promotable: Mapping[str, str]
    """Maps the other tenants with a queued sync to the ID of its run. Most of these runs belong to a backfill and may
    wait for an hour."""


@dataclass(frozen=True, slots=True)
class HintFollowers:
    """The runs that have not ended, from the point of view of a sensor that has found hints."""

    waiting: frozenset[str]
    """Tenants with a waiting sync that will read the present hints. It will start no later than a sync that the sensor
    could request now."""
    running: frozenset[str]
    """Tenants with a run that has started. It may have read the hints before the newest one arrived."""
    failed: frozenset[str] = frozenset()
    """Other tenants whose last targeted sync failed."""


def runs_in_flight(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the tenants' runs that have not ended, from all requesters, except deliveries.

    Runs of all jobs count: runs that a person starts on an asset's page, and runs of backfills, belong to Dagster's own
    job.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=_IN_FLIGHT))
    return [run for run in runs if _is_of_tenant(run)]


def tenants_in_flight(instance: dg.DagsterInstance) -> set[str]:
    """Return the tenants with runs that have not ended, without targeted syncs, which replace no scheduled sync."""
    return {run.tags[PARTITION_TAG] for run in runs_in_flight(instance) if run.job_name != TARGETED_SYNC_JOB}


def classify_in_flight(runs: Iterable[dg.DagsterRun]) -> InFlightSyncs:
    """Separate the tenants that a sensor must wait for from the tenants whose queued sync it can promote.

    A queued run of single assets and a targeted sync belong to neither group: they may not read the changed objects.
    """
    busy, promotable = set(), {}
    for run in runs:
        if run.job_name == TARGETED_SYNC_JOB:
            continue
        is_sync, is_queued = run.job_name == SYNC_JOB, run.status is Status.QUEUED
        if is_sync and is_queued and effective_priority(run.tags) < SENSOR_PRIORITY:
            promotable[run.tags[PARTITION_TAG]] = run.run_id
        elif is_sync or not is_queued:
            busy.add(run.tags[PARTITION_TAG])
    return InFlightSyncs(
        frozenset(busy), {tenant_id: run_id for tenant_id, run_id in promotable.items() if tenant_id not in busy}
    )


def hint_followers(
    instance: dg.DagsterInstance, requested: Iterable[str], runs_before: Iterable[dg.DagsterRun]
) -> HintFollowers:
    """Return the tenants by their run: it will read the hints, may have read them too early, or has failed.

    Args:
        instance: Dagster's instance.
        requested: the tenants for which a sync was requested before.
        runs_before: the runs that had not ended before the hints were read.
    """
    waiting, running = _separate_starting(runs_in_flight(instance))
    running |= _separate_starting(runs_before)[1]
    ended = set(requested) - waiting - running
    failed = frozenset(tenant_id for tenant_id in ended if _has_failed(instance, tenant_id))
    return HintFollowers(frozenset(waiting), frozenset(running), failed)


def _separate_starting(runs: Iterable[dg.DagsterRun]) -> tuple[set[str], set[str]]:
    """Return the tenants with a sync that will read all present hints, and the tenants with a run that has started.

    A sync reads the hints after it has reported its start, so a sync that is still starting will read all of them.
    """
    waiting, running = set(), set()
    for run in runs:
        scope, tenant_id = sync_scope(run.job_name, run.asset_selection), run.tags[PARTITION_TAG]
        if run.status in (Status.STARTED, Status.CANCELING):
            running.add(tenant_id)
        elif (
            scope is SyncScope.HINTED_OBJECTS
            or (scope is SyncScope.REGISTRY and run.status is not Status.QUEUED)
            or (scope is SyncScope.REGISTRY and effective_priority(run.tags) >= TARGETED_PRIORITY)
        ):
            waiting.add(tenant_id)
    return waiting, running


def _has_failed(instance: dg.DagsterInstance, tenant_id: str) -> bool:
    """Return whether the tenant's last targeted sync failed; canceled syncs do not count."""
    ended = dg.RunsFilter(
        job_name=TARGETED_SYNC_JOB, tags={PARTITION_TAG: tenant_id}, statuses=[Status.SUCCESS, Status.FAILURE]
    )
    return any(run.status is Status.FAILURE for run in instance.get_runs(ended, limit=1))


def raise_priority(instance: dg.DagsterInstance, run_id: str, priority: int) -> None:
    """Raise a queued run to ``priority``; do nothing if the run has started.

    The priority is a tag of the run, which Dagster reads when it dequeues runs. ``add_run_tags`` reads the run and
    writes all of it back, not only the tags. For a started run, this could overwrite what the run's own process wrote
    in between.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status in (Status.QUEUED, Status.NOT_STARTED):
        instance.add_run_tags(run_id, {PRIORITY_TAG: str(priority)})


def last_run_seconds(instance: dg.DagsterInstance, tenant_id: str, limit: int) -> list[float]:
    """Return the durations of the tenant's last runs in seconds, and of its last syncs of the whole registry.

    Targeted syncs are short and many, so they must not hide that other syncs are long. A run that was canceled in the
    queue took no time and does not count.
    """
    seconds: list[float] = []
    for job_name in (None, SYNC_JOB):
        ended = dg.RunsFilter(job_name=job_name, tags={PARTITION_TAG: tenant_id}, statuses=_ENDED)
        of_job = [
            record.end_time - record.start_time
            for record in instance.get_run_records(ended, limit=_MAX_ENDED_RUNS)
            if record.start_time is not None and record.end_time is not None and _is_of_tenant(record.dagster_run)
        ]
        seconds += of_job[:limit]
    return seconds


def recently_failed_tenants(instance: dg.DagsterInstance, since: datetime) -> set[str]:
    """Return the tenants with a run that was created after a time and failed, or was canceled while it ran.

    A run that was canceled in the queue contacted no server: usually another sync of the tenant made it redundant.
    Targeted syncs do not count: events may request many of them, and their sensor backs off by itself.
    """
    ended = dg.RunsFilter(statuses=[Status.FAILURE, Status.CANCELED], created_after=since)
    return {
        record.dagster_run.tags[PARTITION_TAG]
        for record in instance.get_run_records(ended)
        if _is_of_tenant(record.dagster_run)
        and record.dagster_run.job_name != TARGETED_SYNC_JOB
        and (record.dagster_run.status is Status.FAILURE or record.start_time is not None)
    }


def tenants_with_runs_of(instance: dg.DagsterInstance, job_name: str) -> set[str]:
    """Return the tenants with a run of a job that has not ended."""
    runs = instance.get_runs(filters=dg.RunsFilter(job_name=job_name, statuses=_IN_FLIGHT))
    return {run.tags[PARTITION_TAG] for run in runs if PARTITION_TAG in run.tags}


def has_run_of(instance: dg.DagsterInstance, job_name: str) -> bool:
    """Return whether a run of a job has not ended."""
    return bool(instance.get_runs(filters=dg.RunsFilter(job_name=job_name, statuses=_IN_FLIGHT), limit=1))


def _is_of_tenant(run: dg.DagsterRun) -> bool:
    """Return whether a run reads a tenant's server, or may do so: deliveries do not."""
    return PARTITION_TAG in run.tags and DELIVERY_TAG not in run.tags and run.job_name not in DELIVERY_JOBS
