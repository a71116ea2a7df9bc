"""The code location: everything that Dagster loads."""

import gc

# Each run starts a process that imports all of these modules. The imported objects are never freed, but the garbage
# collector would visit them several times, for the last time at the end of the process. These visits took a third of
# the time of a start.
gc.disable()

import dagster as dg

from verifywise_mlflow.common.malloc_arenas import limit_malloc_arenas
from verifywise_mlflow.defs.assets.compliance_metrics import compliance_metrics_assets
from verifywise_mlflow.defs.assets.deliveries import delivery_assets
from verifywise_mlflow.defs.assets.external_assets import agents, mlflow_server, prompts
from verifywise_mlflow.defs.assets.governance_report import governance_report
from verifywise_mlflow.defs.assets.stages import stage_assets
from verifywise_mlflow.defs.dagster_compat.connections import share_connections_of_code_server
from verifywise_mlflow.defs.dagster_compat.loggers import log_runs_by
from verifywise_mlflow.defs.dagster_compat.run_processes import fork_run_processes
from verifywise_mlflow.defs.jobs import deliver_tenant, report_tenant, sync_tenant, targeted_sync
from verifywise_mlflow.defs.resources import TenantSync
from verifywise_mlflow.defs.run_retention.deletion import delete_old_runs, hourly_run_deletion
from verifywise_mlflow.defs.schedules.audit_verification import daily_audit_verification, verify_audit_trails
from verifywise_mlflow.defs.schedules.sync_schedules import reconcile, rehash
from verifywise_mlflow.defs.sensors.alerts import alerts
from verifywise_mlflow.defs.sensors.due_checkpoints import due_checkpoints, witness_checkpoints
from verifywise_mlflow.defs.sensors.due_reports import due_reports
from verifywise_mlflow.defs.sensors.freshness_sensor import stale_tenants
from verifywise_mlflow.defs.sensors.pending_deliveries import pending_deliveries
from verifywise_mlflow.defs.sensors.registry_sensors import changed_listings, new_versions, tenants
from verifywise_mlflow.defs.sensors.webhook_hints import mlflow_changes
from verifywise_mlflow.observability.json_logs import JsonHandler, install_json_logs, is_json_requested

limit_malloc_arenas()
install_json_logs()
if is_json_requested():
    log_runs_by(JsonHandler())

defs = dg.Definitions(
    assets=[
        *(mlflow_server, prompts, agents),
        *stage_assets,
        *delivery_assets,
        governance_report,
        *compliance_metrics_assets(),
    ],
    jobs=[
        sync_tenant,
        targeted_sync,
        deliver_tenant,
        report_tenant,
        verify_audit_trails,
        witness_checkpoints,
        delete_old_runs,
    ],
    sensors=[
        tenants,
        new_versions,
        changed_listings,
        mlflow_changes,
        stale_tenants,
        pending_deliveries,
        due_reports,
        due_checkpoints,
        alerts,
    ],
    schedules=[reconcile, rehash, daily_audit_verification, hourly_run_deletion],
    resources={"tenant_sync": TenantSync()},
    # A process per step would cost more than the work itself, so all stages of a tenant run in the run's process.
    executor=dg.in_process_executor,
)

fork_run_processes("verifywise_mlflow.run_process_template")
share_connections_of_code_server()

gc.freeze()
gc.enable()
