"""The sensor that waits for hints, on a real store and a real instance of Dagster."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import insert

from verifywise_mlflow.defs.sensors import webhook_hints as sensor
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import change_hints as hints_table
from verifywise_mlflow_tests.defs.production import production_instance

CHURN = HintedObject(ObjectKind.MODEL, "churn", 1)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with production_instance(tmp_path / "home", {}, in_sqlite=True) as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        yield instance


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor, "MAX_WAIT_SECONDS", 0.2)


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> tuple[list[str], str | None]:
    """Return the tenants for which a tick requests a sync, and its cursor."""
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        result = sensor.mlflow_changes(context)
    assert isinstance(result, dg.SensorResult)
    return [str(request.partition_key) for request in result.run_requests or []], result.cursor


def receive(store: Store, *objects: HintedObject, tenant_id: str = "acme") -> None:
    with store.begin(tenant_id) as session:
        change_hints.record(session, objects, datetime.now(UTC))


@contextmanager
def meanwhile(action: Callable[[], object], after_seconds: float) -> Iterator[None]:
    timer = threading.Timer(after_seconds, action)
    timer.start()
    try:
        yield
    finally:
        timer.join()


def test_a_tick_ends_as_soon_as_an_event_has_come(
    tenants_file: Path, store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor, "MAX_WAIT_SECONDS", 60)
    monkeypatch.setattr(sensor, "LOOK_SECONDS", 60)  # only a notification ends the wait

    with meanwhile(lambda: receive(store, CHURN), 0.5):
        began = time.monotonic()
        requested, cursor = tick(instance)

    assert requested == ["acme"]
    assert time.monotonic() - began < 20

    monkeypatch.setattr(sensor, "MAX_WAIT_SECONDS", 0.2)
    assert tick(instance, cursor) == ([], cursor), "it was requested"


def test_where_no_notification_arrives_the_tick_looks_again(
    tenants_file: Path, store: Store, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection pooler that pools transactions passes no notification on."""
    monkeypatch.setattr(sensor, "MAX_WAIT_SECONDS", 60)
    now = datetime.now(UTC)
    row = {"tenant_id": "acme", "object_kind": "registry", "object_name": "", "version_number": 0}

    def receive_silently() -> None:
        with store.begin("acme") as session:
            session.execute(insert(hints_table).values(**row, first_received_at=now, received_at=now))

    with meanwhile(receive_silently, 0.5):
        requested, _ = tick(instance)

    assert requested == ["acme"]


@pytest.mark.usefixtures("short_wait")
def test_a_burst_of_events_requests_one_sync(tenants_file: Path, store: Store, instance: dg.DagsterInstance) -> None:
    receive(store, CHURN)

    def go_on() -> None:
        for number in range(20):
            receive(store, CHURN, HintedObject(ObjectKind.MODEL, "churn", number))

    with meanwhile(go_on, 0.05):
        requested, cursor = tick(instance)

    assert requested == ["acme"]
    assert tick(instance, cursor) == ([], cursor), "the request follows the whole burst"


@pytest.mark.usefixtures("short_wait")
def test_hints_of_a_tenant_that_is_not_synced_are_ignored(
    tenants_file: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    receive(store, CHURN, tenant_id="removed")
    requested, cursor = tick(instance)
    assert (requested, cursor) == ([], "{}")


def test_without_threads_for_sensors_a_tick_does_not_wait(
    tenants_file: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sensor, "MAX_WAIT_SECONDS", 600)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        assert tick(instance)[0] == []
        receive(store, CHURN)
        assert tick(instance)[0] == ["acme"]
