"""The sensor that requests a tenant's report when its state has changed, and once a day for the ages of gaps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
from pydantic import TypeAdapter, ValidationError

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.defs.jobs import report_tenant
from verifywise_mlflow.defs.partitions import partition_keys
from verifywise_mlflow.defs.run_queue.active_runs import tenants_with_runs_of
from verifywise_mlflow.defs.run_tags import REPORT_JOB
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.queries.stage_queries import newest_write
from verifywise_mlflow.persistence.repositories.waivers import waivers_in_force
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import load_tenants

MIN_INTERVAL: Final = timedelta(minutes=15)
"""The minimum time between two reports of a tenant: a registry that changes every minute needs no report every
minute."""


@value_object
class RequestedReport:
    """The last report that was requested for a tenant."""

    state: str
    """A text that changes with the records, the verdicts and the waivers in force. The other contents of a report, such
    as declared AI systems, are at most a day old."""
    at: datetime


_CURSOR: Final = TypeAdapter(dict[str, RequestedReport])


def is_due(requested: RequestedReport | None, state: str, now: datetime) -> bool:
    """Return whether a report is due: none was requested yet, or the state or the day differs.

    No report is due within ``MIN_INTERVAL`` after the last one.
    """
    if requested is None:
        return True
    if now - requested.at < MIN_INTERVAL:
        return False
    return requested.state != state or requested.at.date() != now.date()


@dg.sensor(
    job=report_tenant,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests the report of each tenant that has the section report and whose records, verdicts or "
    "waivers have changed, at most every 15 minutes; and once a day, since gaps get older. It reads the store only.",
)
def due_reports(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Request the reports that are due."""
    partitions, now = partition_keys(context.instance), datetime.now(UTC)
    tenants = [tenant_id for tenant_id, tenant in load_tenants().items() if tenant.report and tenant_id in partitions]
    if not tenants:
        return dg.SkipReason("no tenant has the section report")
    busy, requested = tenants_with_runs_of(context.instance, REPORT_JOB), _parse_cursor(context.cursor)
    requests = []
    with Store(database_url()) as store:
        for tenant_id in tenants:
            if tenant_id in busy:
                continue
            with store.begin(tenant_id) as session:
                state = _state(session, now)
            if state is not None and is_due(requested.get(tenant_id), state, now):
                requested[tenant_id] = RequestedReport(state, now)
                requests.append(dg.RunRequest(partition_key=tenant_id, run_key=f"{tenant_id}:{now.isoformat()}"))
    if not requests:
        return dg.SkipReason(f"no report of {len(tenants)} tenants is due")
    kept = {tenant_id: requested[tenant_id] for tenant_id in tenants if tenant_id in requested}
    return dg.SensorResult(run_requests=requests, cursor=_CURSOR.dump_json(kept).decode())


def _state(session: TenantSession, now: datetime) -> str | None:
    """Return the text of ``RequestedReport.state``; None before the first evaluation."""
    evaluated = newest_write(session, Stage.COMPLIANCE_RESULTS)
    if evaluated is None:
        return None
    waivers = ",".join(str(stored.waiver_id) for stored in waivers_in_force(session, now))
    return f"{newest_write(session, Stage.CANONICAL_RECORDS)} {evaluated} {waivers}"


def _parse_cursor(cursor: str | None) -> dict[str, RequestedReport]:
    try:
        return _CURSOR.validate_json(cursor) if cursor else {}
    except ValidationError:  # the cursor of another release
        return {}
