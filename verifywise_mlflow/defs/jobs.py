"""The jobs of one tenant: its sync through all stages, its deliveries, and its report."""

import dagster as dg

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.assets.deliveries import delivery_assets
from verifywise_mlflow.defs.assets.governance_report import governance_report
from verifywise_mlflow.defs.assets.stages import stage_assets
from verifywise_mlflow.defs.run_tags import DELIVERY_JOB, DELIVERY_TAG, REPORT_JOB, SYNC_JOB

RETRY_POLICY = dg.RetryPolicy(max_retries=1, delay=5, jitter=dg.Jitter.PLUS_MINUS)
"""For transient errors: a database that fails over, a server that restarts. An asset that fails for another reason (a
wrong password, a broken tenants.yaml) disallows the retry. There is one retry, and soon, since the run keeps its slot
in the queue meanwhile; if a server stays down, the next schedule tries again."""

sync_tenant = dg.define_asset_job(
    SYNC_JOB,
    # Without the checks of the rules, whose results compliance_results logs anyway: planning each of them would cost
    # one more event, and a sync that fails earlier would show all of them as failed.
    selection=dg.AssetSelection.assets(*stage_assets)
    - dg.AssetSelection.checks_for_assets(Stage.COMPLIANCE_RESULTS.value),
    description="Syncs one tenant through all six stages. To sync several tenants, launch a backfill.",
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
