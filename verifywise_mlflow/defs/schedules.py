"""Looks again, since MLflow moves no time stamp for tags, aliases, metrics, deletions and bytes."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from verifywise_mlflow.defs.in_flight import tenants_in_flight
from verifywise_mlflow.defs.jobs import sync_tenant
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.tenants.loading import load_tenants


@dg.schedule(
    job=sync_tenant,
    cron_schedule="7 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Syncs every tenant. Runs are read anew where the tenant's reconcile interval has passed, and files "
    "are hashed anew where its rehash interval has: a day in production, thirty days else.",
)
def hourly_sync(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Ask for a sync of each tenant that has none under way."""
    partitions = set(context.instance.get_dynamic_partitions(tenant_partitions.name or ""))
    in_flight = tenants_in_flight(context.instance, sync_tenant.name)
    for tenant_id in sorted((partitions & set(load_tenants())) - in_flight):
        # The key makes a tick that is tried again ask for each tenant once.
        run_key = f"{tenant_id}:{context.scheduled_execution_time.isoformat()}"
        yield dg.RunRequest(partition_key=tenant_id, run_key=run_key)
