"""Tells of tenants that are behind: a check in a run cannot, since of a tenant that is not synced there is no run."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import dagster as dg

from verifywise_mlflow.defs.freshness import ages
from verifywise_mlflow.defs.links import shown
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.defs.stage_checks import FRESH, fresh_result
from verifywise_mlflow.persistence import tenancy, trail
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Connection, Store
from verifywise_mlflow.pipeline.stage import Stage
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant


@dg.sensor(
    minimum_interval_seconds=300,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks in our own store how old each tenant's stages are, and lets the check 'fresh' on "
    "canonical_records fail of those that are behind, with what their last sync said. The next sync "
    "lets it pass again.",
)
def late_tenants(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Report each tenant once when it falls behind; the cursor is who is behind."""
    partitions = set(context.instance.get_dynamic_partitions(tenant_partitions.name or ""))
    told = set(json.loads(context.cursor or "[]"))
    late, events = set(), []
    with Store(database_url()) as store:
        for tenant_id, tenant in load_tenants().items():
            if tenant_id not in partitions:
                continue
            with store.begin(tenant_id) as connection:
                result = _look(connection, tenant, datetime.now(UTC))
            if result.passed:
                continue
            late.add(tenant_id)
            if tenant_id not in told:
                events.append(_evaluation(result, tenant_id))
    return dg.SensorResult(asset_events=events, cursor=json.dumps(sorted(late)))


def _look(connection: Connection, tenant: Tenant, now: datetime) -> dg.AssetCheckResult:
    aged = ages(tenancy.refreshes(connection, tenant.tenant_id), reconcile=tenant.intervals.reconcile, now=now)
    why = _why(connection, tenant.tenant_id) if any(age.is_late for age in aged) else None
    return fresh_result(aged, why)


def _why(connection: Connection, tenant_id: str) -> str:
    try:
        last = trail.entries(connection, tenant_id, limit=1, kind="sync ended")
    except trail.DamagedEntryError as error:
        return shown(str(error))
    if not last:
        return "no sync has ended yet"
    _, entry = last[0]
    said = f": {shown(entry.reason)}" if entry.reason else ""
    return f"the last sync ended {entry.outcome} at {entry.occurred_at:%Y-%m-%d %H:%M} UTC{said}"


def _evaluation(result: dg.AssetCheckResult, tenant_id: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(Stage.CANONICAL_RECORDS.value),
        check_name=FRESH,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
        partition=tenant_id,
    )
