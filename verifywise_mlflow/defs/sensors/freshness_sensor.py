"""Tells of tenants that are late: a check in a run cannot, since of a tenant that is not synced there is no run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from verifywise_mlflow.defs.checks.data_quality import FRESH, fresh_result
from verifywise_mlflow.defs.looked_at import LookedAt, newest_materialization
from verifywise_mlflow.defs.partitions import partition_keys
from verifywise_mlflow.defs.runless_results import make_room_for
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import Stage
from verifywise_mlflow.services import freshness
from verifywise_mlflow.tenants.freshness import StageAge
from verifywise_mlflow.tenants.loading import load_tenants

_TOLD = TypeAdapter(dict[str, str])


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks in our own store how old each tenant's stages are, and lets the check 'fresh' on "
    "canonical_records fail of those that are late, with what their last sync said. The next sync "
    "lets it pass again; where that was none of Dagster's, this sensor does.",
)
def late_tenants(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Report each tenant that is late, once, and again after a sync that let the check pass and did not end well.

    Who was told of and is late no more is reported, too: no check says so after a sync from the command line.
    """
    partitions = partition_keys(context.instance)
    tenants = [tenant for tenant_id, tenant in load_tenants().items() if tenant_id in partitions]
    told, late, events = _told(context.cursor), {}, []
    with Store(database_url()) as store:
        for tenant, aged, how_it_ended in freshness.late_tenants(store, tenants, datetime.now(UTC)):
            result = fresh_result(aged, how_it_ended)
            if not result.passed:
                late[tenant.tenant_id] = _checked_at(aged)
            if told.get(tenant.tenant_id) != late.get(tenant.tenant_id):
                looked_at = newest_materialization(context.instance, Stage.CANONICAL_RECORDS, tenant.tenant_id)
                events.append(_evaluation(result, tenant.tenant_id, looked_at))
                make_room_for(context.instance, events[-1])
    return dg.SensorResult(asset_events=events, cursor=json.dumps(late))


def _told(cursor: str | None) -> dict[str, str]:
    """Return of whom the last tick has told, and when a sync had come as far as the check then."""
    try:
        return _TOLD.validate_json(cursor or "{}")
    except ValidationError:  # of another release
        return {}


def _checked_at(aged: Sequence[StageAge]) -> str:
    """Return when a sync went through the stage that the check is of."""
    return next(str(age.gone_through_at) for age in aged if age.stage == Stage.CANONICAL_RECORDS)


def _evaluation(result: dg.AssetCheckResult, tenant_id: str, looked_at: LookedAt | None) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(Stage.CANONICAL_RECORDS.value),
        check_name=FRESH,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
        target_materialization_data=looked_at,
        partition=tenant_id,
    )
