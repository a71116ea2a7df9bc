"""A tick of a sensor that looks at the tenants' servers: asks those that are due, and asks for syncs where it helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar
from urllib.parse import urlsplit

import dagster as dg

from verifywise_mlflow.defs.assets.external_assets import mlflow_server
from verifywise_mlflow.defs.partitions import partition_keys
from verifywise_mlflow.defs.run_queue.active_runs import let_go_sooner, runs_in_flight, seen_by_sensor
from verifywise_mlflow.defs.run_queue.policy import OF_A_SENSOR
from verifywise_mlflow.defs.sensors.poll_cursor import (
    Answer,
    Answered,
    Cursor,
    Decision,
    Unread,
    decide,
    due,
    since_when,
)
from verifywise_mlflow.defs.sensors.probe_pool import Question, Reply, StillHangingError, Sweep
from verifywise_mlflow.http.errors import ConnectorError, ServerBusyError
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.secrets import SecretUnavailableError
from verifywise_mlflow.tenants.tenant import Intervals, Tenant

T = TypeVar("T")

_Figure = dg.BoolMetadataValue | dg.TextMetadataValue | dg.TimestampMetadataValue | dg.IntMetadataValue


@dataclass(frozen=True, slots=True)
class Watch(Generic[T]):
    """What a sensor asks the tenants' servers, how often, and when the answer is news."""

    interval: Callable[[Intervals], timedelta]
    ask: Callable[[Tenant], T]
    news: Callable[[Store, str, T], str | None]
    sweep: Sweep
    budget_seconds: float
    """Dagster throws a tick away that takes 60 s, with its cursor; some of them go to our store and to Dagster's."""
    longest_seconds: float
    """What a question may take by its own time-outs."""


def look(context: dg.SensorEvaluationContext, watch: Watch[T]) -> dg.SensorResult:
    """Ask the tenants that are due; return the syncs to be run, and what the next tick has to know."""
    partitions = partition_keys(context.instance)
    tenants = {
        tenant_id: tenant
        for tenant_id, tenant in load_tenants().items()
        # Databricks shows neither the newest time nor its listings in few requests: its tenants have the schedules.
        if tenant_id in partitions and tenant.server.kind == "mlflow"
    }
    intervals = {tenant_id: watch.interval(tenant.intervals) for tenant_id, tenant in tenants.items()}
    cursor, now = Cursor.read(context.cursor), datetime.now(UTC)
    waiting = due(intervals, cursor, now)
    before = seen_by_sensor(runs_in_flight(context.instance))
    with Store(database_url()) as store:
        asked = [tenants[tenant_id] for tenant_id in waiting if tenant_id not in before.busy]
        answers = dict(_answers(store, watch, asked))
    # Asked for by others meanwhile.
    after = seen_by_sensor(runs_in_flight(context.instance))
    in_flight = before.busy | after.busy | after.could_go_sooner.keys()
    decision = decide(cursor, now, intervals, waiting, answers, in_flight)

    for tenant_id in decision.waits & after.could_go_sooner.keys():
        let_go_sooner(context.instance, after.could_go_sooner[tenant_id], OF_A_SENSOR)
        context.log.info(f"{tenant_id} has news: its sync, which waits in the queue, goes before those without")
    for tenant_id, answer in answers.items():
        if isinstance(answer, Unread):
            context.log.warning(f"{tenant_id} could not be read: {answer.reason}")
    context.log.info(decision.summary)
    # The same tick, tried again after a crash, has the same keys; the same news at another time has not.
    tick = (cursor.ticked_at or now).isoformat()
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(partition_key=tenant_id, run_key=f"{tenant_id}:{decision.cursor.told[tenant_id]}:{tick}")
            for tenant_id in decision.sync
        ],
        skip_reason=None if decision.sync else decision.summary,
        cursor=decision.cursor.written(),
        asset_events=list(_observations(decision)),
    )


def _answers(store: Store, watch: Watch[T], tenants: list[Tenant]) -> Iterator[tuple[str, Answer]]:
    questions = [
        Question(tenant.tenant_id, urlsplit(tenant.tracking_uri).netloc, _of(watch, tenant)) for tenant in tenants
    ]
    replies = watch.sweep.ask(questions, budget_seconds=watch.budget_seconds, longest_seconds=watch.longest_seconds)
    for reply in replies:
        if isinstance(reply.outcome, ServerBusyError):
            # The other sensor, on another thread, held the server's places. That says nothing of the server: the tenant
            # is owed a look, as one that was not reached.
            continue
        # Here and not in the sweep: where our own database fails, the tick fails, and no tenant is blamed for it.
        yield reply.tenant_id, _answer(store, watch, reply)


def _of(watch: Watch[T], tenant: Tenant) -> Callable[[], T]:
    return lambda: watch.ask(tenant)


def _answer(store: Store, watch: Watch[T], reply: Reply[T]) -> Answer:
    match reply.outcome:
        case ConnectorError() | SecretUnavailableError() | StillHangingError() as error:
            return Unread(str(error))
        case BaseException() as error:
            # It may quote anything.
            return Unread(f"{type(error).__name__}, which is not expected")
        case answer:
            return Answered(watch.news(store, reply.tenant_id, answer))


def _observations(decision: Decision) -> Iterator[dg.AssetObservation]:
    """Yield what the servers' page is told: when one falls silent and when it is back, and nothing between."""
    for tenant_id, reason in decision.fell_silent.items():
        failing = decision.cursor.failing[tenant_id]
        yield _observation(
            tenant_id,
            f"cannot be read: {reason}",
            {
                "readable": dg.MetadataValue.bool(False),
                "reason": dg.MetadataValue.text(reason),
                "not_readable_since": dg.MetadataValue.timestamp(since_when(failing)),
                "times_in_a_row": dg.MetadataValue.int(failing.times),
            },
        )
    for tenant_id, failing in decision.came_back.items():
        yield _observation(
            tenant_id,
            "can be read again",
            {
                "readable": dg.MetadataValue.bool(True),
                "was_not_readable_since": dg.MetadataValue.timestamp(since_when(failing)),
                "times_in_a_row": dg.MetadataValue.int(failing.times),
            },
        )


def _observation(tenant_id: str, description: str, metadata: Mapping[str, _Figure]) -> dg.AssetObservation:
    return dg.AssetObservation(mlflow_server.key, partition=tenant_id, description=description, metadata=metadata)
