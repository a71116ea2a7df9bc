"""Notices what is new: tenants in the file, and versions on their servers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import dagster as dg

from verifywise_mlflow.connector.errors import ConnectorError
from verifywise_mlflow.connector.reader import newest_version_time
from verifywise_mlflow.defs.in_flight import tenants_in_flight
from verifywise_mlflow.defs.jobs import sync_tenant
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.defs.polling import PollCursor, is_turn, rotated
from verifywise_mlflow.minimisation.minimiser import Minimiser
from verifywise_mlflow.persistence import tenancy
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.minimised_reader import errors_minimised
from verifywise_mlflow.pipeline.tenancy import keep_in_step
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.secrets import SecretUnavailableError
from verifywise_mlflow.tenants.tenant import Tenant

POLL_BUDGET_SECONDS = 40.0
"""A tick that takes 60 s is thrown away as a whole; what was not reached in time comes first in the next."""
POLLS_AT_ONCE = 16
POLL_SECONDS = 10.0
CONNECT_SECONDS = 3.0
"""A server that hangs keeps one of these places for so long; the next tick is a try anyway."""


@dg.sensor(
    job=sync_tenant,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the partitions in step with tenants.yaml, and asks for the first sync of a new tenant. "
    "A tenant that is taken out is no longer synced; its partition, data and history stay.",
)
def tenants(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Add what the file has and Dagster has not."""
    described = load_tenants()
    store = Store(database_url())
    try:
        left = keep_in_step(store, described, datetime.now(UTC))
    finally:
        store.close()
    for tenant_id in left:
        context.log.info(f"{tenant_id} is no longer in tenants.yaml: it is not synced any more, its data stays")
    known = set(context.instance.get_dynamic_partitions(tenant_partitions.name or ""))
    new = [tenant_id for tenant_id in described if tenant_id not in known]
    if not new:
        return dg.SkipReason(f"all {len(described)} tenants of the file are partitions")
    return dg.SensorResult(
        dynamic_partitions_requests=[tenant_partitions.build_add_request(new)],
        run_requests=[dg.RunRequest(partition_key=tenant_id) for tenant_id in new],
    )


@dg.sensor(
    job=sync_tenant,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks each tenant's server, once an interval (intervals.poll), for the time stamp of its newest "
    "version, one request each, and asks for a sync where it has moved. Tags, aliases and runs move no time stamp: "
    "the schedules see to those.",
)
def new_versions(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Poll the tenants, those first that the tick before did not reach."""
    store = Store(database_url())
    try:
        return _poll(context, store)
    finally:
        store.close()


def _poll(context: dg.SensorEvaluationContext, store: Store) -> dg.SensorResult:
    described = load_tenants()
    partitions = set(context.instance.get_dynamic_partitions(tenant_partitions.name or ""))
    in_flight = tenants_in_flight(context.instance, sync_tenant.name)
    cursor, now = PollCursor.read(context.cursor), datetime.now(UTC)
    waiting = [
        tenant_id
        for tenant_id in sorted((partitions & set(described)) - in_flight)
        # Databricks shows no time of the newest version in one request: its tenants have the hourly schedule.
        if described[tenant_id].server.kind == "mlflow"
        and is_turn(tenant_id, described[tenant_id].intervals.poll, last=cursor.ticked_at, now=now)
    ]
    order = rotated(waiting, first=cursor.first_not_reached)
    polls = _newest_version_times([described[tenant_id] for tenant_id in order])

    requests = []
    for poll in polls.answered:
        with store.begin(poll.tenant_id) as connection:
            is_noted, noted = tenancy.newest_version_time(connection, poll.tenant_id)
            if is_noted and noted == poll.newest_version_time:
                continue
            # Noted before the run has done its work: a run that fails is not asked for again each minute, but by
            # the next schedule.
            tenancy.note_newest_version_time(connection, poll.tenant_id, poll.newest_version_time, datetime.now(UTC))
        requests.append(dg.RunRequest(partition_key=poll.tenant_id))
    for tenant_id, reason in polls.failed:
        context.log.warning(f"{tenant_id} could not be polled: {reason}")
    return dg.SensorResult(run_requests=requests, cursor=cursor.after(now, polls.first_not_reached).model_dump_json())


@dataclass(frozen=True, slots=True)
class Poll:
    """What a tenant's server answered."""

    tenant_id: str
    newest_version_time: int | None


@dataclass(frozen=True, slots=True)
class Polls:
    """A round of polls."""

    answered: list[Poll]
    failed: list[tuple[str, str]]
    first_not_reached: str | None


def _newest_version_time(tenant: Tenant) -> int | None:
    settings = connection_settings(tenant)
    bounds = replace(
        settings.bounds,
        connect_seconds=min(settings.bounds.connect_seconds, CONNECT_SECONDS),
        probe_seconds=min(settings.bounds.probe_seconds, POLL_SECONDS),
        request_seconds=min(settings.bounds.request_seconds, POLL_SECONDS),
        attempts=1,
    )
    with errors_minimised(Minimiser(tenant.minimisation)):
        return newest_version_time(replace(settings, bounds=bounds))


def _newest_version_times(tenants: Sequence[Tenant]) -> Polls:
    """Poll tenants at once, as many as the budget lets be reached."""
    deadline = time.monotonic() + POLL_BUDGET_SECONDS
    pool = ThreadPoolExecutor(max_workers=POLLS_AT_ONCE)
    futures = {tenant.tenant_id: pool.submit(_newest_version_time, tenant) for tenant in tenants}
    wait(futures.values(), timeout=deadline - time.monotonic())
    # What has not begun is called off; what hangs is left to its own time-outs, on a thread that nobody waits for.
    pool.shutdown(wait=False, cancel_futures=True)
    polls = Polls([], [], next((tenant_id for tenant_id, future in futures.items() if not future.done()), None))
    for tenant_id, future in futures.items():
        if not future.done() or future.cancelled():
            continue
        error = future.exception()
        if error is None:
            polls.answered.append(Poll(tenant_id, future.result()))
        else:
            # Whatever it is, it is this tenant's: the others are polled all the same.
            ours = isinstance(error, ConnectorError | SecretUnavailableError)
            polls.failed.append((tenant_id, str(error) if ours else f"{type(error).__name__}, which is not expected"))
    return polls
