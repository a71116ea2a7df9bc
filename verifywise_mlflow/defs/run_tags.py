"""The run tags that this project reads or sets, and the names of the jobs.

Dagster's webserver and daemon import this module through the run coordinator, so it imports nothing itself.
"""

from __future__ import annotations

from typing import Final

SYNC_JOB: Final = "sync_tenant"
TARGETED_SYNC_JOB: Final = "targeted_sync"
"""Syncs the objects that hints of MLflow's webhooks name. This job does not replace a sync of the whole registry."""
DELIVERY_JOB: Final = "deliver_tenant"
REPORT_JOB: Final = "report_tenant"
WITNESS_JOB: Final = "witness_checkpoints"
"""Sends the checkpoints of all tenants, so its runs belong to no tenant."""
DELIVERY_JOBS: Final = frozenset({DELIVERY_JOB, REPORT_JOB})
"""The jobs that deliver from the store and read no tenant's server."""
REPORT_ASSET: Final = "governance_report"
DELIVERY_ASSETS: Final = frozenset({"verifywise_delivery", "event_delivery", REPORT_ASSET})
"""The assets that deliver, including the report to a folder. Their runs are deliveries regardless of the requester."""

PARTITION_TAG: Final = "dagster/partition"
"""The tenant of a run."""
BACKFILL_TAG: Final = "dagster/backfill"
SENSOR_TAG: Final = "dagster/sensor_name"
SCHEDULE_TAG: Final = "dagster/schedule_name"
PRIORITY_TAG: Final = "dagster/priority"
WILL_RETRY_TAG: Final = "dagster/will_retry"
RETRY_ALL_STEPS: Final = {"dagster/retry_on_asset_or_op_failure": "true", "dagster/retry_strategy": "ALL_STEPS"}
"""Makes Dagster retry a failed run as a whole, even if a stage failed and the run's process did not."""
REPOSITORY_TAG: Final = ".dagster/repository"
"""The code location of a run."""

TENANT_TAG: Final = "verifywise/tenant"
"""The tenant of a run that syncs. Only one such run of a tenant executes at a time; deliveries do not count."""
DELIVERY_TAG: Final = "verifywise/delivery"
"""Marks a run that delivers: syncs of its tenant do not wait for it, and it has a concurrency limit of its own."""
SERVER_TAG: Final = "verifywise/server"
"""The tenant's MLflow server. Tenants that share a server, as workspaces do, share its concurrency limit."""
USER_TAG: Final = "verifywise/user"
"""The user who requested a run, if a reverse proxy authenticated the user: see ``run_queue/authenticated_user.py``."""
SPEED_TAG: Final = "verifywise/speed"
"""``slow`` for a tenant whose last syncs took long. Slow tenants share a concurrency limit of their own."""
SLOW: Final = "slow"
UNCHANGED_TAG: Final = "verifywise/unchanged"
"""Marks a run that changed nothing in our store."""
