"""What Dagster loads."""

import warnings

import dagster as dg

# Partitioned checks are a preview in Dagster; defs/checks.py says why they are used all the same.
warnings.filterwarnings("ignore", category=dg.PreviewWarning, message=".*partitions_def.*")

from verifywise_mlflow.defs.assets import stage_assets  # noqa: E402  # after the filter that it needs
from verifywise_mlflow.defs.jobs import sync_tenant  # noqa: E402
from verifywise_mlflow.defs.resources import TenantSync  # noqa: E402
from verifywise_mlflow.defs.schedules import daily_rehash, hourly_sync  # noqa: E402
from verifywise_mlflow.defs.sensors import new_versions, tenants  # noqa: E402

defs = dg.Definitions(
    assets=stage_assets,
    jobs=[sync_tenant],
    sensors=[tenants, new_versions],
    schedules=[hourly_sync, daily_rehash],
    resources={"tenant_sync": TenantSync()},
    # A process for each step would cost more than the work: all stages of a tenant run in the run's process.
    executor=dg.in_process_executor,
)
