"""The job that syncs one tenant through all stages."""

import dagster as dg

from verifywise_mlflow.defs.assets import stage_assets

sync_tenant = dg.define_asset_job(
    "sync_tenant",
    selection=dg.AssetSelection.assets(*stage_assets),
    description="Syncs one tenant through all six stages. Run it for several with a backfill.",
    # A run takes longer only where a server hangs in a way that the connector's bounds do not see.
    tags={"dagster/max_runtime": "7200"},
)
