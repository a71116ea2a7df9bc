"""One tick of a polling sensor: probes the tenants that are due and requests syncs of the changed tenants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import dagster as dg

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.defs.assets.external_assets import mlflow_server
from verifywise_mlflow.defs.partitions import partition_keys
from verifywise_mlflow.defs.run_queue.active_runs import classify_in_flight, raise_priority, runs_in_flight
from verifywise_mlflow.defs.run_queue.priorities import SENSOR_PRIORITY
from verifywise_mlflow.defs.sensors.poll_cursor import PollCursor, failing_since
from verifywise_mlflow.defs.sensors.poll_decision import (
    Decision,
    PollFailed,
    PollResult,
    PollSucceeded,
    decide,
    due_tenants,
)
from verifywise_mlflow.defs.sensors.probe_pool import Probe, ProbePool, ProbeResult, ProbeTimeoutError
from verifywise_mlflow.defs.sensors.webhook_watch import watch_webhooks
from verifywise_mlflow.http.errors import ConcurrencyLimitError, HttpError
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.intervals import Intervals
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant

K = TypeVar("K")
T = TypeVar("T")

_MetadataValue = dg.BoolMetadataValue | dg.TextMetadataValue | dg.TimestampMetadataValue | dg.IntMetadataValue


@dataclass(frozen=True, slots=True)
class ChangePoll(Generic[K, T]):
    """What a polling sensor reads from the tenants' servers, how often, and how it detects a change."""

    interval_of: Callable[[Intervals], timedelta]
    known: Callable[[Store, str], K]
    """Return the stored data about a tenant that the read of its server needs."""
    read: Callable[[Tenant, K], T]
    change_token: Callable[[Store, str, T], str | None]
    """Return the token of the change that a sync would find; None if there is no change."""
    pool: ProbePool
    budget_seconds: float
    """The time for probes. Dagster discards a tick that takes 60 s, together with its cursor. Our store and Dagster's
    store need a part of this time."""
    max_probe_seconds: float
    """The maximum duration of a probe, by its own timeouts."""
    unreported: Callable[[Store, str, T], Collection[str]]
    """Return the models whose change the webhooks have not reported so far, although they should."""
    is_relaxed_by_webhooks: bool = False
    """Whether tenants whose webhooks report everything are polled less often."""


def poll_tenants(context: dg.SensorEvaluationContext, poll: ChangePoll[K, T]) -> dg.SensorResult:
    """Poll the tenants that are due; return the syncs to run and the cursor for the next tick."""
    partitions = partition_keys(context.instance)
    tenants = {
        tenant_id: tenant
        for tenant_id, tenant in load_tenants().items()
        # Databricks returns neither the newest timestamp nor its listings in a few requests: the schedules cover it.
        if tenant_id in partitions and tenant.server.kind == "mlflow"
    }
    intervals = {tenant_id: poll.interval_of(tenant.intervals) for tenant_id, tenant in tenants.items()}
    cursor, now = PollCursor.from_json(context.cursor), datetime.now(UTC)
    before = classify_in_flight(runs_in_flight(context.instance))
    with Store(database_url()) as store:
        watched = {
            tenant_id: tenant
            for tenant_id, tenant in tenants.items()
            if tenant.webhooks and (poll.is_relaxed_by_webhooks or tenant_id in cursor.suspected)
        }
        watch = watch_webhooks(store, watched, cursor.suspected, now)
        if poll.is_relaxed_by_webhooks:
            intervals |= watch.relaxed
        due = due_tenants(intervals, cursor, now)
        idle = [tenants[tenant_id] for tenant_id in due if tenant_id not in before.busy]
        results = dict(_poll_results(store, poll, idle))
    # Syncs that others requested in the meantime count too.
    after = classify_in_flight(runs_in_flight(context.instance))
    in_flight = before.busy | after.busy | after.promotable.keys()
    decision = decide(cursor, now, intervals, due, results, in_flight)
    unreported = {
        tenant_id: result.unreported
        for tenant_id, result in results.items()
        if isinstance(result, PollSucceeded) and result.unreported
    }
    next_cursor = decision.cursor.model_copy(update={"suspected": watch.with_unreported(unreported, now)})
    summary = decision.summary + (watch.summary if poll.is_relaxed_by_webhooks else "")

    for tenant_id in decision.awaiting_sync & after.promotable.keys():
        raise_priority(context.instance, after.promotable[tenant_id], SENSOR_PRIORITY)
        context.log.info(f"{tenant_id} has changed: raised the priority of its queued sync")
    for tenant_id, result in results.items():
        if isinstance(result, PollFailed):
            context.log.warning(f"could not read {tenant_id}: {result.reason}")
    for tenant_id, suspicion in watch.missed.items():
        context.log.warning(
            f"{tenant_id}: no webhook has reported the changes of {', '.join(map(quote, suspicion.models))}"
        )
    context.log.info(summary)
    # run_key is the idempotency key, by which Dagster deduplicates requests: a tick that is retried after a crash has
    # the same run keys; the same change at another time has another run key.
    tick = (cursor.ticked_at or now).isoformat()
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(partition_key=tenant_id, run_key=f"{tenant_id}:{decision.cursor.requested[tenant_id]}:{tick}")
            for tenant_id in decision.tenants_to_sync
        ],
        skip_reason=None if decision.tenants_to_sync else summary,
        cursor=next_cursor.to_json(),
        asset_events=list(_observations(decision)),
    )


def _poll_results(store: Store, poll: ChangePoll[K, T], tenants: list[Tenant]) -> Iterator[tuple[str, PollResult]]:
    by_id = {tenant.tenant_id: tenant for tenant in tenants}
    probes = [
        Probe(
            tenant.tenant_id,
            urlsplit(tenant.tracking_uri).netloc,
            partial(poll.read, tenant, poll.known(store, tenant.tenant_id)),
        )
        for tenant in tenants
    ]
    for probe_result in poll.pool.run(
        probes, budget_seconds=poll.budget_seconds, max_probe_seconds=poll.max_probe_seconds
    ):
        if isinstance(probe_result.outcome, ConcurrencyLimitError):
            # The other sensor, on another thread, used all of the server's connections. This says nothing about the
            # server, so the tenant stays pending.
            continue
        # The result is compared with the store here rather than in the pool: if our own database fails, the tick must
        # fail, and the failure must not count against a tenant.
        has_webhooks = by_id[probe_result.tenant_id].webhooks is not None
        yield probe_result.tenant_id, _poll_result(store, poll, probe_result, has_webhooks=has_webhooks)


def _poll_result(
    store: Store, poll: ChangePoll[K, T], probe_result: ProbeResult[T], *, has_webhooks: bool
) -> PollResult:
    match probe_result.outcome:
        case HttpError() | SecretUnavailableError() | ProbeTimeoutError() as error:
            return PollFailed(str(error))
        case BaseException() as error:
            # The error's text may quote anything, so only its type is shown.
            return PollFailed(f"unexpected {type(error).__name__}")
        case outcome:
            token = poll.change_token(store, probe_result.tenant_id, outcome)
            is_suspicious = token is not None and has_webhooks
            return PollSucceeded(
                token, poll.unreported(store, probe_result.tenant_id, outcome) if is_suspicious else ()
            )


def _observations(decision: Decision) -> Iterator[dg.AssetObservation]:
    """Yield one observation when a server becomes unreachable and one when it recovers, and none in between."""
    for tenant_id, reason in decision.became_unreachable.items():
        streak = decision.cursor.failing[tenant_id]
        yield _observation(
            tenant_id,
            f"Cannot be read: {reason}",
            {
                "is_reachable": dg.MetadataValue.bool(False),
                "reason": dg.MetadataValue.text(reason),
                "unreachable_since": dg.MetadataValue.timestamp(failing_since(streak)),
                "consecutive_failures": dg.MetadataValue.int(streak.failures),
            },
        )
    for tenant_id, streak in decision.recovered.items():
        yield _observation(
            tenant_id,
            "Can be read again",
            {
                "is_reachable": dg.MetadataValue.bool(True),
                "was_unreachable_since": dg.MetadataValue.timestamp(failing_since(streak)),
                "consecutive_failures": dg.MetadataValue.int(streak.failures),
            },
        )


def _observation(tenant_id: str, description: str, metadata: Mapping[str, _MetadataValue]) -> dg.AssetObservation:
    return dg.AssetObservation(mlflow_server.key, partition=tenant_id, description=description, metadata=metadata)
