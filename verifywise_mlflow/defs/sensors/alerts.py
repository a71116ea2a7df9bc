"""Looks each minute for what somebody should know of, and tells what has changed since the last time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import dagster as dg

from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.dispatch import tell
from verifywise_mlflow.alerts.settings import alert_settings
from verifywise_mlflow.alerts.state import Book
from verifywise_mlflow.alerts.transitions import Observation, Open, changes, lateness, without_departed
from verifywise_mlflow.defs.run_queue.policy import PARTITION
from verifywise_mlflow.defs.schedules.audit_verification import DAMAGED, verify_audit_trails
from verifywise_mlflow.normalizer.findings import quoted
from verifywise_mlflow.persistence.database import DatabaseError, database_url
from verifywise_mlflow.persistence.queries.stage_timestamps import new_integrity_events
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.freshness import late_tenants
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant

FIRST_LOOK_BACK = timedelta(days=1)
RUNS_AT_ONCE = 500
_WILL_RETRY = "dagster/will_retry"


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells of syncs that failed, tenants that are late, bytes that changed under a version, and audit "
    "trails that are damaged: once when it begins and once when it is over, to where alerts.yaml says.",
)
def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Observe, decide, tell; the cursor is the book of what was told."""
    settings, tenants, now = alert_settings(), load_tenants(), datetime.now(UTC)
    book = Book.read(context.cursor)
    opened = without_departed(frozenset(book.opened), tenants)
    runs = _ended_runs(context.instance, book.runs_seen_until or now - FIRST_LOOK_BACK)
    told, opened = changes(opened, _of_runs(context.instance, runs, opened), now)
    events_seen = {tenant_id: seen for tenant_id, seen in book.events_seen.items() if tenant_id in tenants}
    try:
        with Store(database_url()) as store:
            more, opened = changes(opened, _of_lateness(store, tenants, now), now)
            told += more
            told += _of_integrity(store, tenants, events_seen, now)
    except DatabaseError as error:
        # Who is late stays so; the runs that fail for the same reason are told of.
        context.log.warning(f"lateness and integrity were not looked at: {error}")
    unsent = tell(told, settings.targets, book, context.log.warning)
    until = runs[-1].update_timestamp if runs else book.runs_seen_until
    left = Book(opened=sorted(opened, key=repr), events_seen=events_seen, runs_seen_until=until or now, unsent=unsent)
    context.update_cursor(left.model_dump_json())
    return dg.SkipReason(f"{len(told)} alerts told; {len(opened)} matters are open")


def _ended_runs(instance: dg.DagsterInstance, since: datetime) -> list[dg.RunRecord]:
    ended = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
    found = dg.RunsFilter(statuses=ended, updated_after=since)
    return list(
        instance.get_run_records(filters=found, limit=RUNS_AT_ONCE, order_by="update_timestamp", ascending=True)
    )


def _of_runs(instance: dg.DagsterInstance, records: list[dg.RunRecord], opened: Open) -> Iterator[Observation]:
    """Tell how the last syncs and the last verification ended."""
    last = {(run.job_name == verify_audit_trails.name, run.tags.get(PARTITION)): run for run in _that_count(records)}
    for run in last.values():
        is_failed = run.status is dg.DagsterRunStatus.FAILURE
        if run.job_name == verify_audit_trails.name:
            yield from _of_verification(instance, run, opened)
        elif tenant_id := run.tags.get(PARTITION):
            is_known = ("sync failed", tenant_id) in opened
            wrong = "failed before" if is_known else f"{_why(instance, run)[0]} (run {run.run_id})"
            yield Observation("sync failed", tenant_id, wrong if is_failed else None)


def _that_count(records: list[dg.RunRecord]) -> Iterator[dg.DagsterRun]:
    """Leave out what Dagster tries again by itself, and single assets that people materialize."""
    for run in (record.dagster_run for record in records):
        is_tried_again = run.status is dg.DagsterRunStatus.FAILURE and run.tags.get(_WILL_RETRY) == "true"
        if not is_tried_again and not run.job_name.startswith("__"):
            yield run


def _of_verification(instance: dg.DagsterInstance, run: dg.DagsterRun, opened: Open) -> Iterator[Observation]:
    sentence, damaged = _why(instance, run) if run.status is dg.DagsterRunStatus.FAILURE else ("", {})
    is_through = not sentence or bool(damaged)
    yield Observation("audit trails not verified", None, None if is_through else f"{sentence} (run {run.run_id})")
    if not is_through:
        return
    for kind, tenant_id in opened:
        if kind == "audit trail damaged" and tenant_id not in damaged:
            yield Observation(kind, tenant_id, None)
    for tenant_id, damage in damaged.items():
        yield Observation("audit trail damaged", tenant_id, damage)


def _why(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str, Mapping[str, str]]:
    """Return why a run failed, and the damaged trails that it found. Tracebacks stay where they are."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    sentence, damaged = "its process ended without a word", {}
    for entry in instance.all_logs(run.run_id, of_type=kinds):
        event = entry.get_dagster_event()
        if event.event_type is not dg.DagsterEventType.STEP_FAILURE:
            sentence = event.message or sentence
            continue
        failure = event.step_failure_data.user_failure_data
        if failure is None:
            return f"{event.step_key}: an error that is not expected: see the run", {}
        found = failure.metadata.get(DAMAGED)
        if isinstance(found, dg.JsonMetadataValue) and isinstance(found.data, dict):
            damaged = {str(tenant_id): str(damage) for tenant_id, damage in found.data.items()}
        return f"{event.step_key}: {failure.description}", damaged
    return sentence, damaged


def _of_lateness(store: Store, tenants: Mapping[str, Tenant], now: datetime) -> Iterator[Observation]:
    for tenant, aged, how_it_ended in late_tenants(store, tenants.values(), now):
        yield lateness(tenant.tenant_id, aged, how_it_ended)


def _of_integrity(store: Store, tenants: Mapping[str, Tenant], seen: dict[str, int], now: datetime) -> Iterator[Alert]:
    """Tell of what nobody was told of, one alert a tenant; and note up to where."""
    for tenant_id in tenants:
        with store.begin(tenant_id) as connection:
            new = new_integrity_events(connection, tenant_id, seen.get(tenant_id, 0))
        if new is None:
            continue
        seen[tenant_id] = new.last
        others = f", and {new.count - 1:,} more changes" if new.count > 1 else ""
        what = f"{quoted(new.path)} of {quoted(new.model_name)} version {new.version_number}"
        sentence = f"bytes changed under a version that did not: {what}{others}"
        yield Alert(kind="integrity event", tenant_id=tenant_id, state="raised", sentence=sentence, at=now)
