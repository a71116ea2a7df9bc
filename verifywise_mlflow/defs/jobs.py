"""The job that syncs one tenant through all stages."""

import dagster as dg

from verifywise_mlflow.defs.assets import stage_assets

RETRY = dg.RetryPolicy(max_retries=1, delay=5, jitter=dg.Jitter.PLUS_MINUS)
"""For what passes by itself: a database that fails over, a server that restarts. An asset that fails for another
reason (a wrong password, a broken tenants.yaml) says so, and is not tried again. Once only, and soon, since the run
keeps its place in the queue meanwhile: a server that stays down is asked again by the next schedule."""

sync_tenant = dg.define_asset_job(
    "sync_tenant",
    selection=dg.AssetSelection.assets(*stage_assets),
    description="Syncs one tenant through all six stages. Run it for several with a backfill.",
    op_retry_policy=RETRY,
)
