"""The sensor that detects and delivers alerts. It runs every minute and reports changes only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.dispatch import dispatch
from verifywise_mlflow.alerts.settings import load_alert_settings
from verifywise_mlflow.alerts.state import AlertState
from verifywise_mlflow.alerts.transitions import (
    Observation,
    OpenAlerts,
    detect_transitions,
    drop_removed_tenants,
    observe_staleness,
)
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.defs.run_tags import (
    DELIVERY_JOBS,
    PARTITION_TAG,
    TARGETED_SYNC_JOB,
    WILL_RETRY_TAG,
    WITNESS_JOB,
)
from verifywise_mlflow.defs.schedules.audit_verification import DAMAGED_TRAILS, verify_audit_trails
from verifywise_mlflow.persistence.database import DatabaseError, database_url
from verifywise_mlflow.persistence.queries.stage_timestamps import new_integrity_events
from verifywise_mlflow.persistence.repositories import change_hints, history_usage
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.delivery_status import delivery_problem
from verifywise_mlflow.services.freshness import tenants_freshness
from verifywise_mlflow.services.webhooks.health import silence
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant

FIRST_LOOK_BACK = timedelta(days=1)
MAX_RUNS_READ_PER_TICK = 500
_JOBS_WITHOUT_ALERTS = DELIVERY_JOBS | {TARGETED_SYNC_JOB}
_JOBS_OF_ALL_TENANTS = (verify_audit_trails.name, WITNESS_JOB)


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends alerts to the targets in alerts.yaml: failed syncs, stale tenants, daily quotas of history "
    "that are reached, deliveries that are stuck, webhooks that fell silent, files that changed under an unchanged "
    "version, damaged audit trails, and checkpoints that a witness did not take. Each alert is sent when it is raised "
    "and again when it is resolved.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Observe, compare with the last tick and deliver; the cursor holds the state of the alerts."""
    settings, tenants, now = load_alert_settings(), load_tenants(), datetime.now(UTC)
    state = AlertState.parse(context.cursor)
    open_alerts = drop_removed_tenants(frozenset(state.open_alerts), tenants)
    runs = _ended_runs(context.instance, state.runs_watermark or now - FIRST_LOOK_BACK)
    new_alerts, open_alerts = detect_transitions(open_alerts, _observe_runs(context.instance, runs, open_alerts), now)
    last_integrity_events = {
        tenant_id: last for tenant_id, last in state.last_integrity_events.items() if tenant_id in tenants
    }
    try:
        with Store(database_url()) as store:
            for observe in (
                _observe_stale_tenants,
                _observe_history_quotas,
                _observe_deliveries,
                _observe_webhooks,
            ):
                raised_or_resolved, open_alerts = detect_transitions(open_alerts, observe(store, tenants, now), now)
                new_alerts += raised_or_resolved
            new_alerts += _integrity_alerts(store, tenants, last_integrity_events, now)
    except DatabaseError as error:
        # Alerts about stale tenants stay open meanwhile, and runs that fail for the same reason are reported.
        context.log.warning(f"did not check for stale tenants and integrity events: {error}")
    undelivered = dispatch(new_alerts, settings.targets, state, context.log.warning)
    watermark = runs[-1].update_timestamp if runs else state.runs_watermark
    next_state = AlertState(
        open_alerts=sorted(open_alerts, key=repr),
        last_integrity_events=last_integrity_events,
        runs_watermark=watermark or now,
        undelivered=undelivered,
    )
    context.update_cursor(next_state.model_dump_json())
    return dg.SkipReason(f"sent {len(new_alerts)} alerts; {len(open_alerts)} are open")


def _ended_runs(instance: dg.DagsterInstance, since: datetime) -> list[dg.RunRecord]:
    statuses = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    filters = dg.RunsFilter(statuses=statuses, updated_after=since)
    records = instance.get_run_records(
        filters=filters, limit=MAX_RUNS_READ_PER_TICK, order_by="update_timestamp", ascending=True
    )
    return list(records)


def _observe_runs(
    instance: dg.DagsterInstance, records: list[dg.RunRecord], open_alerts: OpenAlerts
) -> Iterator[Observation]:
    """Yield the outcomes of each tenant's latest sync, and of the latest verification and sending of checkpoints."""
    latest = {
        (run.job_name if run.job_name in _JOBS_OF_ALL_TENANTS else "", run.tags.get(PARTITION_TAG)): run
        for run in _relevant_runs(records)
    }
    for run in latest.values():
        is_failed = run.status is dg.DagsterRunStatus.FAILURE
        if run.job_name == verify_audit_trails.name:
            yield from _observe_verification(instance, run, open_alerts)
        elif run.job_name == WITNESS_JOB:
            problem = f"{_failure(instance, run)[0]} (run {run.run_id})" if is_failed else None
            yield Observation("checkpoints not witnessed", None, problem)
        elif tenant_id := run.tags.get(PARTITION_TAG):
            is_open = ("sync failed", tenant_id) in open_alerts
            problem = "failed before" if is_open else f"{_failure(instance, run)[0]} (run {run.run_id})"
            yield Observation("sync failed", tenant_id, problem if is_failed else None)


def _relevant_runs(records: list[dg.RunRecord]) -> Iterator[dg.DagsterRun]:
    """Skip failures that Dagster retries by itself, deliveries, reports, and single assets that people materialize.

    Targeted syncs are skipped, too: the success of a targeted sync says nothing about the registry, and after a failure
    the next listing finds the change.
    """
    for run in (record.dagster_run for record in records):
        will_retry = run.status is dg.DagsterRunStatus.FAILURE and run.tags.get(WILL_RETRY_TAG) == "true"
        if not will_retry and not run.job_name.startswith("__") and run.job_name not in _JOBS_WITHOUT_ALERTS:
            yield run


def _observe_verification(
    instance: dg.DagsterInstance, run: dg.DagsterRun, open_alerts: OpenAlerts
) -> Iterator[Observation]:
    reason, damaged = _failure(instance, run) if run.status is dg.DagsterRunStatus.FAILURE else ("", {})
    is_complete = not reason or bool(damaged)
    yield Observation("audit trails not verified", None, None if is_complete else f"{reason} (run {run.run_id})")
    if not is_complete:
        return
    for kind, tenant_id in open_alerts:
        if kind == "audit trail damaged" and tenant_id not in damaged:
            yield Observation(kind, tenant_id, None)
    for tenant_id, damage in damaged.items():
        yield Observation("audit trail damaged", tenant_id, damage)


def _failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str, Mapping[str, str]]:
    """Return why a run failed, and which damaged trails a run of the verification found. Tracebacks are left out."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    reason, damaged = "the run's process ended without an error message", {}
    for entry in instance.all_logs(run.run_id, of_type=kinds):
        event = entry.get_dagster_event()
        if event.event_type is not dg.DagsterEventType.STEP_FAILURE:
            reason = event.message or reason
            continue
        failure = event.step_failure_data.user_failure_data
        if failure is None:
            return f"{event.step_key}: unexpected error, see the run's log", {}
        trails = failure.metadata.get(DAMAGED_TRAILS)
        if isinstance(trails, dg.JsonMetadataValue) and isinstance(trails.data, dict):
            damaged = {str(tenant_id): str(damage) for tenant_id, damage in trails.data.items()}
        return f"{event.step_key}: {failure.description}", damaged
    return reason, damaged


def _observe_stale_tenants(store: Store, tenants: Mapping[str, Tenant], now: datetime) -> Iterator[Observation]:
    for tenant, stages, last_sync_outcome in tenants_freshness(store, tenants.values(), now):
        yield observe_staleness(tenant.tenant_id, stages, last_sync_outcome)


def _observe_history_quotas(store: Store, tenants: Mapping[str, Tenant], _now: datetime) -> Iterator[Observation]:
    for tenant_id, tenant in tenants.items():
        with store.begin(tenant_id) as session:
            held_back = history_usage.held_back(session)
        problem = (
            f"{held_back:,} changes are held back to the next day: the daily quota of "
            f"{tenant.history.max_bytes_per_day:,} bytes of history is reached (history.max_bytes_per_day)"
        )
        yield Observation("history quota reached", tenant_id, problem if held_back else None)


def _observe_deliveries(store: Store, tenants: Mapping[str, Tenant], now: datetime) -> Iterator[Observation]:
    for tenant_id, tenant in tenants.items():
        yield Observation("delivery stuck", tenant_id, delivery_problem(store, tenant, now))


def _observe_webhooks(store: Store, tenants: Mapping[str, Tenant], _now: datetime) -> Iterator[Observation]:
    for tenant_id, tenant in tenants.items():
        problem = None  # so the alert ends if the section is removed
        if tenant.webhooks is not None:
            with store.begin(tenant_id) as session:
                problem = silence(change_hints.status(session))
        yield Observation("webhooks silent", tenant_id, problem)


def _integrity_alerts(
    store: Store, tenants: Mapping[str, Tenant], last_events: dict[str, int], now: datetime
) -> Iterator[Alert]:
    """Yield one alert per tenant with new integrity events, and advance its entry in ``last_events``."""
    for tenant_id in tenants:
        with store.begin(tenant_id) as session:
            new = new_integrity_events(session, last_events.get(tenant_id, 0))
        if new is None:
            continue
        last_events[tenant_id] = new.newest_event_id
        more = f", and {new.count - 1:,} more changes" if new.count > 1 else ""
        file = f"{quote(new.path)} of {quote(new.model_name)} version {new.version_number}"
        sentence = f"the bytes of a file changed under an unchanged version: {file}{more}"
        yield Alert(kind="integrity event", tenant_id=tenant_id, state="raised", sentence=sentence, at=now)
