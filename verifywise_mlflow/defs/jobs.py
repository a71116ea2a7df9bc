"""The job that syncs one tenant through all stages."""

import dagster as dg

from verifywise_mlflow.defs.assets.stages import stage_assets
from verifywise_mlflow.pipeline.context import Stage

RETRY = dg.RetryPolicy(max_retries=1, delay=5, jitter=dg.Jitter.PLUS_MINUS)
"""For what passes by itself: a database that fails over, a server that restarts. An asset that fails for another
reason (a wrong password, a broken tenants.yaml) says so, and is not tried again. Once only, and soon, since the run
keeps its place in the queue meanwhile: a server that stays down is asked again by the next schedule."""

sync_tenant = dg.define_asset_job(
    "sync_tenant",
    # Without the rules' checks, which the judging tells of all the same: that each is planned would be an event more,
    # and a sync that fails before would let all of them look as if they had failed.
    selection=dg.AssetSelection.assets(*stage_assets)
    - dg.AssetSelection.checks_for_assets(Stage.COMPLIANCE_RESULTS.value),
    description="Syncs one tenant through all six stages. Run it for several with a backfill.",
    op_retry_policy=RETRY,
)
