"""What Dagster loads."""

import dagster as dg

from verifywise_mlflow.defs.assets import stage_assets
from verifywise_mlflow.defs.external import mlflow_server
from verifywise_mlflow.defs.figures_over_time import assets_over_time
from verifywise_mlflow.defs.jobs import sync_tenant
from verifywise_mlflow.defs.lateness import late_tenants
from verifywise_mlflow.defs.resources import TenantSync
from verifywise_mlflow.defs.schedules import hourly_sync
from verifywise_mlflow.defs.sensors import new_versions, tenants

defs = dg.Definitions(
    assets=[mlflow_server, *stage_assets, *assets_over_time()],
    jobs=[sync_tenant],
    sensors=[tenants, new_versions, late_tenants],
    schedules=[hourly_sync],
    resources={"tenant_sync": TenantSync()},
    # A process for each step would cost more than the work: all stages of a tenant run in the run's process.
    executor=dg.in_process_executor,
)
