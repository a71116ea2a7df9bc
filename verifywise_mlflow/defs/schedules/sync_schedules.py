"""The schedules that request syncs for changes that no poll can see.

MLflow updates no timestamp when a run changes, nor when the files of an unchanged version change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import dagster as dg

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.jobs import sync_tenant
from verifywise_mlflow.defs.partitions import partition_keys
from verifywise_mlflow.defs.run_queue.active_runs import recently_failed_tenants, tenants_in_flight
from verifywise_mlflow.defs.schedules.overdue import LastRead, overdue_tenants
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.repositories.tenancy import StageRefresh
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant

RECONCILE_TICK = timedelta(minutes=2)
REHASH_TICK = timedelta(minutes=10)

FAILED_SYNC_BACK_OFF = timedelta(hours=1)
"""How long a schedule waits after a failed sync: wrong credentials, tried every two minutes, would lock the account."""


@dg.schedule(
    job=sync_tenant,
    cron_schedule=f"*/{RECONCILE_TICK // timedelta(minutes=1)} * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Requests a sync of each tenant so often that its training runs are read again within "
    "intervals.reconcile (default: one hour). Tags, metrics and deletions of runs update no timestamp, so polling "
    "cannot detect them. Tenants are spread over the interval. After a failed sync it waits one hour.",
)
def reconcile(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Request the syncs that reread all linked runs."""
    return _run_requests(context, RECONCILE_TICK, _last_reconcile)


@dg.schedule(
    job=sync_tenant,
    cron_schedule=f"*/{REHASH_TICK // timedelta(minutes=1)} * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Requests a sync of each tenant that had none for a tenth of the shorter interval: intervals.rehash "
    "(default: one day) or intervals.rehash_non_production. Every sync rehashes the files whose hashes are older than "
    "nine tenths of their interval. Tenants that reconcile more often, as they do by default, need no sync from this "
    "schedule.",
)
def rehash(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Request the syncs that hash files again before their hashes become too old."""
    return _run_requests(context, REHASH_TICK, _last_manifest_sync)


def _last_reconcile(tenant: Tenant, refreshes: Mapping[str, StageRefresh]) -> LastRead:
    last = refreshes.get(Stage.TRAINING_RUNS)
    return LastRead(last.reconciled_at if last else None, tenant.intervals.reconcile)


def _last_manifest_sync(tenant: Tenant, refreshes: Mapping[str, StageRefresh]) -> LastRead:
    last = refreshes.get(Stage.ARTIFACT_MANIFESTS)
    interval = min(tenant.intervals.rehash, tenant.intervals.rehash_non_production) / 10
    return LastRead(last.refreshed_at if last else None, interval)


def _run_requests(
    context: dg.ScheduleEvaluationContext,
    tick: timedelta,
    last_read: Callable[[Tenant, Mapping[str, StageRefresh]], LastRead],
) -> list[dg.RunRequest] | dg.SkipReason:
    now: datetime = context.scheduled_execution_time
    tenants, partitions = load_tenants(), partition_keys(context.instance)
    skipped = tenants_in_flight(context.instance) | recently_failed_tenants(
        context.instance, now - FAILED_SYNC_BACK_OFF
    )
    last_reads = {}
    with Store(database_url()) as store:
        for tenant_id in (tenants.keys() & partitions) - skipped:
            with store.begin(tenant_id) as session:
                last_reads[tenant_id] = last_read(tenants[tenant_id], tenancy.stage_refreshes_of(session))
    overdue = overdue_tenants(last_reads, now, tick)
    if not overdue:
        return dg.SkipReason(
            f"none of {len(last_reads)} tenants is due; skipped {len(tenants) - len(last_reads)} tenants with a sync "
            "in flight, with a sync that failed within the last hour, or without a partition"
        )
    # The run key makes a retried tick idempotent.
    return [dg.RunRequest(partition_key=tenant_id, run_key=f"{tenant_id}:{now.isoformat()}") for tenant_id in overdue]
