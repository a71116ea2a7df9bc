"""A tenant's compliance metrics over time, as an unpartitioned asset per tenant.

Dagster plots only the newest value of each partition of a partitioned asset, and the plots of its checks mix all
tenants. It plots values over time only for an unpartitioned asset that the code defines, so there is one such asset for
each tenant in tenants.yaml. Only a sync materializes these assets. They have no lineage: with hundreds of tenants,
their lineage would hide the lineage of the six stages.
"""

from __future__ import annotations

import dagster as dg

from verifywise_mlflow.compliance.score import SCORE_RULE
from verifywise_mlflow.services.compliance_summary import FORMULAS, ComplianceSummary
from verifywise_mlflow.tenants.errors import TenantsFileError
from verifywise_mlflow.tenants.loading import load_tenants

_NAME = "compliance_over_time"


def compliance_metrics_key(tenant_id: str) -> dg.AssetKey:
    """Return the key of a tenant's metrics asset."""
    return dg.AssetKey([_NAME, tenant_id])


def compliance_metrics_assets() -> list[dg.AssetSpec]:
    """Return the metrics assets of the tenants that tenants.yaml names when the code is loaded.

    The metrics of a tenant that is added later are recorded from its first sync and plotted after the next reload.
    """
    try:
        tenants = load_tenants()
    except TenantsFileError:  # the code location must load anyway; the sensor `tenants` reports the error
        return []
    return [
        dg.AssetSpec(
            compliance_metrics_key(tenant_id),
            group_name=_NAME,
            owners=["team:data-platform"],
            description=f"Compliance metrics of {tenant_id} after each sync. Compliance score: {SCORE_RULE} Open gaps "
            "are those without a waiver. The age of a gap counts from when it last opened.",
        )
        for tenant_id in tenants
    ]


def compliance_metrics_event(tenant_id: str, summary: ComplianceSummary) -> dg.AssetMaterialization:
    """Return a tenant's metrics as a materialization of its metrics asset."""
    return dg.AssetMaterialization(compliance_metrics_key(tenant_id), metadata={**summary.metrics(), **FORMULAS})
