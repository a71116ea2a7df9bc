"""Which materialization a check's result is of.

A check's page shows a tenant whose result names none, or not its newest, as if its check had never been made. Dagster
fills it in for results that an asset yields, and for no others.
"""

from __future__ import annotations

from typing import TypeAlias

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from verifywise_mlflow.pipeline.context import Stage

LookedAt: TypeAlias = AssetCheckEvaluationTargetMaterializationData
"""A parameter of the public AssetCheckEvaluation, though Dagster exports it nowhere."""


def newest_materialization(instance: dg.DagsterInstance, stage: Stage, tenant_id: str) -> LookedAt | None:
    """Return a tenant's newest materialization of a stage; null where there is none yet."""
    of_the_tenant = dg.AssetRecordsFilter(asset_key=dg.AssetKey(stage.value), asset_partitions=[tenant_id])
    found = instance.fetch_materializations(of_the_tenant, limit=1).records
    if not found:
        return None
    return LookedAt(storage_id=found[0].storage_id, run_id=found[0].run_id, timestamp=found[0].timestamp)
