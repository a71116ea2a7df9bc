"""The sensor that requests a targeted sync as soon as MLflow's webhooks have reported a change.

Dagster evaluates a sensor once a second at best. So a tick waits for hints, with Postgres' LISTEN, and returns when
hints arrive.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import dagster as dg

from verifywise_mlflow.defs.dagster_compat.daemon import has_sensor_threads
from verifywise_mlflow.defs.jobs import targeted_sync
from verifywise_mlflow.defs.partitions import partition_keys
from verifywise_mlflow.defs.run_queue.active_runs import hint_followers, runs_in_flight
from verifywise_mlflow.defs.sensors.hint_cursor import HintCursor
from verifywise_mlflow.defs.sensors.hint_decision import HintDecision, decide
from verifywise_mlflow.persistence.database import DatabaseError, database_url
from verifywise_mlflow.persistence.notifications import Listener, listen
from verifywise_mlflow.persistence.repositories.change_hints import CHANNEL, TenantHints, tenants_with_hints
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.loading import load_tenants, tenants_path
from verifywise_mlflow.tenants.tenant import Tenant

MAX_WAIT_SECONDS: Final = 4.5
"""How long a tick waits. Our daemon starts the next tick up to a second later, Dagster's own daemon every five seconds.
A daemon that is being stopped waits for the end of the tick. In containers it has ten seconds to stop."""
LOOK_SECONDS: Final = 1.0
"""The time between two reads of the table while no notification arrives: a transaction pooler forwards no
notifications."""
DEBOUNCE_SECONDS: Final = 0.3
MAX_DEBOUNCE_SECONDS: Final = 1.0
"""A tick waits until no event has arrived for ``DEBOUNCE_SECONDS``, but no longer than this time: a pipeline registers
a version, sets its tags and moves an alias within a second."""


@dg.sensor(
    job=targeted_sync,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Waits for what verifywise-mlflow listen takes from MLflow's webhooks, and requests a sync of the "
    "models and versions that changed. It reads the store only, and requests nothing more while a sync that will read "
    "them is queued. After a sync that failed it waits for a minute, then longer. The cursor lists tenants with open "
    "hints, as [newest hint, time of the last request, retries].",
)
def mlflow_changes(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Wait for hints; request the syncs that follow them."""
    deadline = time.monotonic()
    if has_sensor_threads(context.instance):  # without threads, all other sensors would wait, too
        deadline += MAX_WAIT_SECONDS
    try:
        with Store(database_url()) as store, listen(store.engine, CHANNEL) as listener:
            decision = _await_hints(context.instance, store, listener, HintCursor.from_json(context.cursor), deadline)
    except DatabaseError:
        time.sleep(max(deadline - time.monotonic(), 0))  # a pause: each failure is a row in Dagster's database
        raise
    following = len(decision.cursor.requested)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(partition_key=tenant_id, run_key=run_key) for tenant_id, run_key in decision.run_keys.items()
        ],
        skip_reason=None
        if decision.run_keys
        else f"syncs of {following} tenants with hints were requested before"
        if following
        else "no hint is pending",
        cursor=decision.cursor.to_json(),
    )


def _await_hints(
    instance: dg.DagsterInstance, store: Store, listener: Listener, cursor: HintCursor, deadline: float
) -> HintDecision:
    """Return the first decision that requests a sync; after the deadline, the last decision."""
    decision, seen = HintDecision(cursor, {}), None
    while True:
        if (hints := _hints(store)) != seen:
            if hints and not _is_known(hints, decision.cursor):
                _await_pause(listener)
            decision, seen = _decide(instance, store, decision.cursor), hints
        remaining = deadline - time.monotonic()
        if decision.run_keys or remaining <= 0:
            return decision
        listener.wait(min(remaining, LOOK_SECONDS))


def _decide(instance: dg.DagsterInstance, store: Store, cursor: HintCursor) -> HintDecision:
    # The runs are read before the hints. Otherwise a sync that has read older hints and ends between the two reads
    # would count as a sync that left the newest hint pending.
    runs_before = runs_in_flight(instance) if cursor.requested else []
    hints = _hints(store)
    if not hints:
        return HintDecision(HintCursor(), {})
    tenants = _tenants().keys() & partition_keys(instance)
    return decide(cursor, hints, tenants, hint_followers(instance, cursor.requested, runs_before), datetime.now(UTC))


def _hints(store: Store) -> list[TenantHints]:
    with store.begin_shared() as connection:
        return tenants_with_hints(connection)


def _is_known(hints: list[TenantHints], cursor: HintCursor) -> bool:
    """Return whether a sync was already requested for each hint, so that no debounce is needed."""
    return all(
        (last := cursor.requested.get(each.tenant_id)) is not None and last.revision == each.newest_revision
        for each in hints
    )


def _await_pause(listener: Listener) -> None:
    """Debounce: wait until no event comes for a moment."""
    ends_at = time.monotonic() + MAX_DEBOUNCE_SECONDS
    while listener.wait(DEBOUNCE_SECONDS) and time.monotonic() < ends_at:
        pass


def _tenants() -> Mapping[str, Tenant]:
    """Return the tenants. The file is parsed only after a change: 500 tenants take a second."""
    stat = tenants_path().stat()
    return _tenants_of((stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=1)
def _tenants_of(_file_state: tuple[int, int]) -> Mapping[str, Tenant]:
    return load_tenants()
