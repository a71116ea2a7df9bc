"""The sensor that requests a delivery when a tenant's outbox has something to deliver."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from verifywise_mlflow.defs.assets.deliveries import DELIVERY_ASSETS
from verifywise_mlflow.defs.jobs import deliver_tenant
from verifywise_mlflow.defs.partitions import partition_keys
from verifywise_mlflow.defs.run_queue.active_runs import tenants_with_runs_of
from verifywise_mlflow.defs.run_tags import DELIVERY_JOB
from verifywise_mlflow.delivery.drain import Drain
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant


@dg.sensor(
    job=deliver_tenant,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a delivery for each tenant whose outbox has versions that are due for a target. It reads the "
    "store only, and requests nothing while a delivery of the tenant is running, while its first delivery waits for a "
    "person, and for some minutes after a target stopped one.",
)
def pending_deliveries(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Request the deliveries that are due."""
    partitions, now = partition_keys(context.instance), datetime.now(UTC)
    tenants = {
        tenant_id: tenant
        for tenant_id, tenant in load_tenants().items()
        if tenant_id in partitions and tenant.delivery.targets()
    }
    if not tenants:
        return dg.SkipReason("no tenant has a target under delivery")
    busy, requests = tenants_with_runs_of(context.instance, DELIVERY_JOB), []
    with Store(database_url()) as store:
        for tenant_id in tenants.keys() - busy:
            due = _due_assets(store, tenants[tenant_id])
            if due:
                requests.append(
                    dg.RunRequest(
                        partition_key=tenant_id,
                        run_key=f"{tenant_id}:{now.isoformat()}",
                        asset_selection=[dg.AssetKey(name) for name in due],
                    )
                )
    if not requests:
        return dg.SkipReason(f"nothing is due for {len(tenants)} tenants with targets")
    return dg.SensorResult(run_requests=requests)


def _due_assets(store: Store, tenant: Tenant) -> list[str]:
    return [
        definition.name
        for definition in DELIVERY_ASSETS
        if any(Drain(store, tenant.tenant_id, target).is_due() for target in definition.targets(tenant, store))
    ]
