"""The alerts sensor, with runs that Dagster really ran and rows in a real store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from verifywise_mlflow.alerts.targets.log import ALERTS_LOGGER
from verifywise_mlflow.artifacts.integrity import ByteChange
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.defs.schedules.audit_verification import verify_audit_trails
from verifywise_mlflow.defs.sensors.alerts import alerts
from verifywise_mlflow.persistence.repositories import change_hints, history_usage, integrity, tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.tenant_activation import activate_tenant
from verifywise_mlflow_tests.support.evaluation_fixtures import store_record, tenant_with_policies
from verifywise_mlflow_tests.support.trail_entries import append, entry


class AlertsSensor:
    """The sensor, tick after tick, and the alerts it sent."""

    def __init__(self, instance: dg.DagsterInstance, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        self.instance, self.store = instance, store
        self._caplog = caplog
        self._cursor: str | None = None

    def tick(self) -> list[str]:
        """Return the alerts of one tick, without their times and run IDs."""
        self._caplog.clear()
        context = dg.build_sensor_context(instance=self.instance, cursor=self._cursor)
        alerts(context)
        self._cursor = context.cursor
        lines = [record.getMessage() for record in self._caplog.records if record.name == ALERTS_LOGGER]
        return [line.split("Z ", 1)[1].partition(" (run ")[0] for line in lines]

    def run(self, error: str | None, *, tags: dict[str, str] | None = None, job: str = "sync_tenant") -> None:
        """Run the tenant's sync in Dagster."""

        @dg.op(name="model_versions")
        def stage() -> None:
            if error:
                raise dg.Failure(error, allow_retries=False)

        @dg.job(name=job)
        def sync_tenant() -> None:
            stage()

        tags = {"dagster/partition": "acme", **(tags or {})}
        sync_tenant.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)

    def complete_all_stages(self, ago: timedelta) -> None:
        completed_at = datetime.now(UTC) - ago
        with self.store.begin("acme") as session:
            for stage in Stage:
                tenancy.record_refresh(session, stage, "s", completed_at, reconciled=False)


@pytest.fixture
def sensor(
    store: Store,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[AlertsSensor]:
    path = tmp_path / "tenants.yaml"
    path.write_text("tenants:\n  acme: {tracking_uri: 'https://a.example'}\n")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    with store.begin("acme") as session:
        activate_tenant(session, tenant_with_policies(), datetime.now(UTC))
    with dg.DagsterInstance.ephemeral() as instance:
        yield AlertsSensor(instance, store, caplog)


def test_a_sync_that_keeps_failing_raises_one_alert_and_resolves_it_once(sensor: AlertsSensor) -> None:
    sensor.complete_all_stages(timedelta(0))
    sensor.run("the server refused us: 401\x1b[2J")
    assert sensor.tick() == [
        "sync failed acme raised: model_versions: the server refused us: 401\\x1b[2J",
    ]

    for _ in range(3):
        sensor.run("the server refused us: 401")
        assert sensor.tick() == []
    sensor.run(None, job="targeted_sync")
    assert sensor.tick() == [], "it read a few objects only"

    sensor.run(None)
    assert sensor.tick() == ["sync failed acme resolved: back to normal"]
    assert sensor.tick() == []


def test_a_run_that_dagster_will_retry_raises_no_alert(sensor: AlertsSensor) -> None:
    sensor.run("its process died", tags={"dagster/will_retry": "true"})
    assert sensor.tick() == []


def test_a_stale_tenant_raises_an_alert_until_a_sync_completes_all_stages(sensor: AlertsSensor) -> None:
    sensor.complete_all_stages(timedelta(minutes=129))
    assert sensor.tick() == []
    sensor.complete_all_stages(timedelta(minutes=131))

    (alert,) = sensor.tick()
    assert alert.startswith("tenant stale acme raised: stale stages: registered_models, model_versions, ")
    assert alert.endswith(" UTC). No sync has ended yet")
    assert sensor.tick() == []
    sensor.complete_all_stages(timedelta(minutes=1))
    assert sensor.tick() == ["tenant stale acme resolved: back to normal"]


def test_a_reached_quota_of_history_raises_an_alert_until_a_sync_holds_nothing_back(sensor: AlertsSensor) -> None:
    sensor.complete_all_stages(timedelta(0))
    now = datetime.now(UTC)
    with sensor.store.begin("acme") as session:
        history_usage.add(session, now.date(), 2**29, held_back=1_200, now=now)

    assert sensor.tick() == [
        "history quota reached acme raised: 1,200 changes are held back to the next day: the daily quota of "
        "536,870,912 bytes of history is reached (history.max_bytes_per_day)"
    ]
    assert sensor.tick() == []

    with sensor.store.begin("acme") as session:
        history_usage.add(session, now.date() + timedelta(days=1), 0, held_back=0, now=now)
    assert sensor.tick() == ["history quota reached acme resolved: back to normal"]


def test_webhooks_that_miss_a_change_raise_an_alert_until_the_next_delivery(
    sensor: AlertsSensor, tmp_path: Path
) -> None:
    section = "webhooks: {path: 'env:WEBHOOK_PATH', secret: 'env:WEBHOOK_SECRET'}"
    (tmp_path / "tenants.yaml").write_text(f"tenants:\n  acme: {{tracking_uri: 'https://a.example', {section}}}\n")
    sensor.complete_all_stages(timedelta(0))
    now = datetime.now(UTC)
    with sensor.store.begin("acme") as session:
        change_hints.record_delivery(session, now - timedelta(hours=1), is_event=True)
    assert sensor.tick() == []
    with sensor.store.begin("acme") as session:
        change_hints.record_missed(session, now - timedelta(minutes=5))

    (alert,) = sensor.tick()
    assert alert.startswith("webhooks silent acme raised: polling found a change at ")
    assert sensor.tick() == []
    with sensor.store.begin("acme") as session:
        change_hints.record_delivery(session, now, is_event=False)
    assert sensor.tick() == ["webhooks silent acme resolved: back to normal"]


def test_changed_files_are_reported_once_with_escaped_names(sensor: AlertsSensor) -> None:
    def change(paths: list[str]) -> None:
        now = datetime.now(UTC)
        events = [
            integrity.IntegrityEvent(("fraud\n\x1b[31m", 1), 1, None, _changed(path), former_read_at=now)
            for path in paths
        ]
        with sensor.store.begin("acme") as session:
            integrity.append(session, "s", events, now)

    change(["model.pkl", "MLmodel"])
    prefix = "integrity event acme raised: the bytes of a file changed under an unchanged version: "
    assert sensor.tick() == [f"{prefix}'MLmodel' of 'fraud\\n\\x1b[31m' version 1, and 1 more changes"]
    assert sensor.tick() == []
    change(["conda.yaml"])
    assert sensor.tick() == [f"{prefix}'conda.yaml' of 'fraud\\n\\x1b[31m' version 1"]


def test_a_damaged_trail_is_detected_by_the_daily_job_and_reported_once(sensor: AlertsSensor) -> None:
    def verify() -> bool:
        return verify_audit_trails.execute_in_process(instance=sensor.instance, raise_on_error=False).success

    assert verify()
    assert sensor.tick() == []
    with sensor.store.begin("acme") as session:
        session.execute(text("ALTER TABLE verifywise_mlflow.audit_trail DISABLE TRIGGER USER"))
        session.execute(text("UPDATE verifywise_mlflow.audit_trail SET entry = replace(entry, 'noted', 'never')"))

    assert not verify()
    (alert,) = sensor.tick()
    assert alert.startswith("audit trail damaged acme raised: edit: ")
    assert not verify()
    assert sensor.tick() == []


def test_a_forged_record_is_detected_by_the_daily_job(sensor: AlertsSensor) -> None:
    now = datetime.now(UTC)
    append(sensor.store, replace(entry(1), kind="sync started", sync_id=f"sync of day {now.day}"))
    store_record(sensor.store, "fraud\x1b[2J", 1, now)
    assert verify_audit_trails.execute_in_process(instance=sensor.instance, raise_on_error=False).success
    with sensor.store.begin("acme") as session:
        session.execute(text("ALTER TABLE verifywise_mlflow.canonical_records DISABLE TRIGGER USER"))
        session.execute(text("UPDATE verifywise_mlflow.canonical_records SET owner = 'Mallory'"))

    assert not verify_audit_trails.execute_in_process(instance=sensor.instance, raise_on_error=False).success

    (alert,) = sensor.tick()
    assert alert.startswith(
        "audit trail damaged acme raised: 1 row is not as it was written: changed canonical_records "
        "'fraud\\x1b[2J' version 1 (owner). Run verifywise-mlflow audit verify acme --records. the trigger "
    )


def test_failed_runs_are_reported_while_our_database_is_unreachable(
    sensor: AlertsSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    sensor.run("the database cannot be reached")

    assert sensor.tick() == ["sync failed acme raised: model_versions: the database cannot be reached"]


def _changed(path: str) -> ByteChange:
    return ByteChange(
        kind="changed", root="model", path=path, former_sha256="a" * 64, sha256="b" * 64, former_size=1, size=1
    )
