"""The jobs of one tenant: its syncs through all stages, its deliveries, and its report."""

import dagster as dg

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.assets.deliveries import delivery_assets
from verifywise_mlflow.defs.assets.governance_report import governance_report
from verifywise_mlflow.defs.assets.stages import stage_assets
from verifywise_mlflow.defs.checks.data_quality import CHECKS_OF_LISTINGS
from verifywise_mlflow.defs.run_queue.priorities import TARGETED_PRIORITY
from verifywise_mlflow.defs.run_tags import (
    DELIVERY_JOB,
    DELIVERY_TAG,
    PRIORITY_TAG,
    REPORT_JOB,
    SYNC_JOB,
    TARGETED_SYNC_JOB,
)

RETRY_POLICY = dg.RetryPolicy(max_retries=1, delay=5, jitter=dg.Jitter.PLUS_MINUS)
"""The retry after transient errors, such as a database failover or a server restart. An asset that fails for another
reason (a wrong password, a broken tenants.yaml) disallows the retry. There is only one early retry, since the run keeps
its slot in the queue meanwhile; if a server stays down, the next schedule tries again."""

# The checks of the rules are left out, since compliance_results logs their results anyway: planning each check would
# cost one more event, and a sync that fails earlier would show all checks as failed.
_ALL_STAGES = dg.AssetSelection.assets(*stage_assets) - dg.AssetSelection.checks_for_assets(
    Stage.COMPLIANCE_RESULTS.value
)

sync_tenant = dg.define_asset_job(
    SYNC_JOB,
    selection=_ALL_STAGES,
    description="Syncs one tenant through all six stages. To sync several tenants, launch a backfill.",
    op_retry_policy=RETRY_POLICY,
)

targeted_sync = dg.define_asset_job(
    TARGETED_SYNC_JOB,
    selection=_ALL_STAGES - dg.AssetSelection.checks(*CHECKS_OF_LISTINGS),
    description="Syncs the models and versions of one tenant that MLflow's webhooks reported, with a few requests. The "
    "sensor mlflow_changes requests it. What to read comes from the store: without a report it does nothing. The "
    "listings, and so deletions, are left to sync_tenant.",
    tags={PRIORITY_TAG: str(TARGETED_PRIORITY)},
    op_retry_policy=RETRY_POLICY,
)

deliver_tenant = dg.define_asset_job(
    DELIVERY_JOB,
    selection=dg.AssetSelection.assets(*delivery_assets),
    description="Delivers what is pending in one tenant's outbox. A sensor requests it; no sync waits for it.",
    tags={DELIVERY_TAG: "true"},
    op_retry_policy=RETRY_POLICY,
)

report_tenant = dg.define_asset_job(
    REPORT_JOB,
    selection=dg.AssetSelection.assets(governance_report),
    description="Writes one tenant's governance report. A sensor requests it; no sync waits for it.",
    tags={DELIVERY_TAG: "true"},
    op_retry_policy=RETRY_POLICY,
)
