"""The sensor that reports stale tenants. A check in a run cannot do that: a tenant that is not synced has no run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.checks.data_quality import FRESH, freshness_result
from verifywise_mlflow.defs.dagster_compat.event_log import (
    TargetMaterialization,
    delete_previous_runless_result,
    latest_materialization,
)
from verifywise_mlflow.defs.partitions import partition_keys
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services import freshness
from verifywise_mlflow.tenants.freshness import StageFreshness
from verifywise_mlflow.tenants.loading import load_tenants

_CURSOR = TypeAdapter(dict[str, str])
_ASSET = dg.AssetKey(Stage.CANONICAL_RECORDS.value)


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reads from the VerifyWise store when each tenant's stages last completed, and fails the check 'fresh' "
    "on canonical_records for stale tenants, with the outcome of their last sync. The next sync passes the check "
    "again; after a sync from the command line, this sensor does.",
)
def stale_tenants(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Report each stale tenant once, and again after a sync that passed the check but did not complete.

    A reported tenant that is no longer stale is reported, too: after a sync from the command line, nothing else would
    make the check pass.
    """
    partitions = partition_keys(context.instance)
    tenants = [tenant for tenant_id, tenant in load_tenants().items() if tenant_id in partitions]
    reported, stale, events = _reported(context.cursor), {}, []
    with Store(database_url()) as store:
        for tenant, stages, last_sync_outcome in freshness.tenants_freshness(store, tenants, datetime.now(UTC)):
            result = freshness_result(stages, last_sync_outcome)
            if not result.passed:
                stale[tenant.tenant_id] = _checked_at(stages)
            if reported.get(tenant.tenant_id) != stale.get(tenant.tenant_id):
                target = latest_materialization(context.instance, _ASSET, tenant.tenant_id)
                events.append(_evaluation(result, tenant.tenant_id, target))
                delete_previous_runless_result(context.instance, events[-1])
    return dg.SensorResult(asset_events=events, cursor=json.dumps(stale))


def _reported(cursor: str | None) -> dict[str, str]:
    """Return the tenants that the last tick reported as stale, each with the time of the check's last run in a sync."""
    try:
        return _CURSOR.validate_json(cursor or "{}")
    except ValidationError:  # the cursor of another release
        return {}


def _checked_at(stages: Sequence[StageFreshness]) -> str:
    """Return when a sync last completed the stage that the check belongs to."""
    return next(str(stage.last_completed_at) for stage in stages if stage.stage == Stage.CANONICAL_RECORDS)


def _evaluation(
    result: dg.AssetCheckResult, tenant_id: str, target: TargetMaterialization | None
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=_ASSET,
        check_name=FRESH,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
        target_materialization_data=target,
        partition=tenant_id,
    )
