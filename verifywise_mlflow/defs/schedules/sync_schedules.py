"""Looks again, since MLflow moves no time stamp for what becomes of runs, nor for bytes under an unchanged version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import dagster as dg

from verifywise_mlflow.defs.schedules.overdue import Knowledge, grown_old
from verifywise_mlflow.defs.run_queue.active_runs import tenants_in_flight, tenants_that_failed
from verifywise_mlflow.defs.jobs import sync_tenant
from verifywise_mlflow.defs.partitions import partition_keys
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.repositories.tenancy import Refresh
from verifywise_mlflow.pipeline.context import Stage
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant

RECONCILE_TICK = timedelta(minutes=2)
REHASH_TICK = timedelta(minutes=10)

TRIED_AGAIN_AFTER = timedelta(hours=1)
"""A sync that failed is asked for again after this: wrong credentials, tried every other minute, lock the account."""


@dg.schedule(
    job=sync_tenant,
    cron_schedule=f"*/{RECONCILE_TICK // timedelta(minutes=1)} * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for a sync of each tenant whose runs will soon have been read longer ago than its "
    "intervals.reconcile (an hour): their tags, metrics and deletions move no time stamp. Tenants come one after the "
    "other over the interval. What could not be synced is asked for again after an hour.",
)
def reconcile(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for the syncs that read all linked runs anew."""
    return _requests(context, RECONCILE_TICK, _runs_read)


@dg.schedule(
    job=sync_tenant,
    cron_schedule=f"*/{REHASH_TICK // timedelta(minutes=1)} * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for a sync of each tenant that has had none for a tenth of its intervals.rehash (a day): every "
    "sync hashes the files whose hashes are nine tenths of the interval old. Tenants that reconcile more often, as all "
    "do by default, need none of these.",
)
def rehash(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for the syncs without which hashes would grow too old."""
    return _requests(context, REHASH_TICK, _files_seen_to)


def _runs_read(tenant: Tenant, refreshes: dict[str, Refresh]) -> Knowledge:
    last = refreshes.get(Stage.TRAINING_RUNS)
    return Knowledge(last.reconciled_at if last else None, tenant.intervals.reconcile)


def _files_seen_to(tenant: Tenant, refreshes: dict[str, Refresh]) -> Knowledge:
    last = refreshes.get(Stage.ARTIFACT_MANIFESTS)
    often = min(tenant.intervals.rehash, tenant.intervals.rehash_others) / 10
    return Knowledge(last.refreshed_at if last else None, often)


def _requests(
    context: dg.ScheduleEvaluationContext,
    tick: timedelta,
    knowledge_of: Callable[[Tenant, dict[str, Refresh]], Knowledge],
) -> list[dg.RunRequest] | dg.SkipReason:
    now: datetime = context.scheduled_execution_time
    described, partitions = load_tenants(), partition_keys(context.instance)
    left_out = tenants_in_flight(context.instance) | tenants_that_failed(context.instance, now - TRIED_AGAIN_AFTER)
    known = {}
    with Store(database_url()) as store:
        for tenant_id in (described.keys() & partitions) - left_out:
            with store.begin(tenant_id) as connection:
                known[tenant_id] = knowledge_of(described[tenant_id], tenancy.refreshes(connection, tenant_id))
    old = grown_old(known, now, tick)
    if not old:
        return dg.SkipReason(
            f"none of {len(known)} tenants is due; {len(described) - len(known)} have a sync under way, or one that "
            "failed within the hour, or no partition yet"
        )
    # The key makes a tick that is tried again ask for each tenant once.
    return [dg.RunRequest(partition_key=tenant_id, run_key=f"{tenant_id}:{now.isoformat()}") for tenant_id in old]
