"""A tenant's figures over time, as an asset of its own that is not partitioned.

Of a partitioned asset Dagster plots the newest figures alone, one partition beside the other, and the plots of its
checks go from tenant to tenant and back. Over time it plots an asset that is not partitioned, and only one that the
code describes: so there is one for each tenant that tenants.yaml names. Nobody materializes them but the sync.
No lineage leads to them: with those of hundreds of tenants nobody could read that of the six stages.
"""

from __future__ import annotations

import dagster as dg

from verifywise_mlflow.compliance.score import SCORE_RULE
from verifywise_mlflow.services.compliance_summary import Standing
from verifywise_mlflow.tenants.loading import TenantsFileError, load_tenants

_NAME = "compliance_over_time"


def over_time(tenant_id: str) -> dg.AssetKey:
    """Return the asset of a tenant's figures."""
    return dg.AssetKey([_NAME, tenant_id])


def assets_over_time() -> list[dg.AssetSpec]:
    """Return the assets of the tenants that are known when the code is loaded.

    Of a tenant that comes later the figures are kept from its first sync on, and plotted once the code was reloaded.
    """
    try:
        known = load_tenants()
    except TenantsFileError:  # the page loads all the same; the sensor for tenants says what is wrong
        return []
    return [
        dg.AssetSpec(
            over_time(tenant_id),
            group_name=_NAME,
            owners=["team:data-platform"],
            description=f"How {tenant_id} stands after each sync. The compliance score: {SCORE_RULE} Open gaps are "
            "those that no waiver covers; a gap is as old as it has been open without a break.",
        )
        for tenant_id in known
    ]


def figures_event(tenant_id: str, standing: Standing) -> dg.AssetMaterialization:
    """Return a tenant's figures as Dagster keeps them."""
    return dg.AssetMaterialization(over_time(tenant_id), metadata=standing.figures())
