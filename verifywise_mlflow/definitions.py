"""What Dagster loads."""

import dagster as dg

from verifywise_mlflow.defs.assets import stage_assets
from verifywise_mlflow.defs.jobs import sync_tenant
from verifywise_mlflow.defs.resources import TenantSync
from verifywise_mlflow.defs.schedules import reconcile, rehash
from verifywise_mlflow.defs.sensors import changed_listings, new_versions, tenants

defs = dg.Definitions(
    assets=stage_assets,
    jobs=[sync_tenant],
    sensors=[tenants, new_versions, changed_listings],
    schedules=[reconcile, rehash],
    resources={"tenant_sync": TenantSync()},
    # A process for each step would cost more than the work: all stages of a tenant run in the run's process.
    executor=dg.in_process_executor,
)
