"""What Dagster loads."""

import dagster as dg

from verifywise_mlflow.defs.assets.compliance_metrics import assets_over_time
from verifywise_mlflow.defs.assets.external_assets import mlflow_server
from verifywise_mlflow.defs.assets.stages import stage_assets
from verifywise_mlflow.defs.jobs import sync_tenant
from verifywise_mlflow.defs.resources import TenantSync
from verifywise_mlflow.defs.run_deletion import delete_old_runs, hourly_run_deletion
from verifywise_mlflow.defs.schedules.audit_verification import daily_audit_verification, verify_audit_trails
from verifywise_mlflow.defs.schedules.sync_schedules import reconcile, rehash
from verifywise_mlflow.defs.sensors.alerts import alerts
from verifywise_mlflow.defs.sensors.freshness_sensor import late_tenants
from verifywise_mlflow.defs.sensors.registry_sensors import changed_listings, new_versions, tenants

defs = dg.Definitions(
    assets=[mlflow_server, *stage_assets, *assets_over_time()],
    jobs=[sync_tenant, verify_audit_trails, delete_old_runs],
    sensors=[tenants, new_versions, changed_listings, late_tenants, alerts],
    schedules=[reconcile, rehash, daily_audit_verification, hourly_run_deletion],
    resources={"tenant_sync": TenantSync()},
    # A process for each step would cost more than the work: all stages of a tenant run in the run's process.
    executor=dg.in_process_executor,
)
