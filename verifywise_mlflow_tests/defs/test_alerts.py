"""The alerts' sensor, over runs that Dagster really ended and rows that syncs really left."""

from __future__ import annotations

from collections.abc import Iterator
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
from verifywise_mlflow.persistence.repositories import integrity, tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.tenant_activation import activate_tenant
from verifywise_mlflow_tests.pipeline.evaluation_fixtures import described


class Watch:
    """The sensor, look after look, and what it told."""

    def __init__(self, instance: dg.DagsterInstance, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        self.instance, self.store = instance, store
        self._caplog = caplog
        self._cursor: str | None = None

    def look(self) -> list[str]:
        """Return the alerts of one look, without their times and the runs' ids."""
        self._caplog.clear()
        context = dg.build_sensor_context(instance=self.instance, cursor=self._cursor)
        alerts(context)
        self._cursor = context.cursor
        lines = [record.getMessage() for record in self._caplog.records if record.name == ALERTS_LOGGER]
        return [line.split("Z ", 1)[1].partition(" (run ")[0] for line in lines]

    def run(self, fails: str | None, *, tags: dict[str, str] | None = None) -> None:
        """Let Dagster end a run of the tenant's sync."""

        @dg.op(name="model_versions")
        def stage() -> None:
            if fails:
                raise dg.Failure(fails, allow_retries=False)

        @dg.job(name="sync_tenant")
        def sync_tenant() -> None:
            stage()

        tags = {"dagster/partition": "acme", **(tags or {})}
        sync_tenant.execute_in_process(instance=self.instance, raise_on_error=False, tags=tags)

    def refreshed(self, ago: timedelta) -> None:
        when = datetime.now(UTC) - ago
        with self.store.begin("acme") as session:
            for stage in Stage:
                tenancy.note_refresh(session, stage, "s", when, reconciled=False)


@pytest.fixture
def watch(
    store: Store,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Watch]:
    path = tmp_path / "tenants.yaml"
    path.write_text("tenants:\n  acme: {tracking_uri: 'https://a.example'}\n")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    with store.begin("acme") as session:
        activate_tenant(session, described(), datetime.now(UTC))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watch(instance, store, caplog)


def test_a_tenant_that_fails_each_minute_is_told_of_once_and_once_more_when_it_is_well(watch: Watch) -> None:
    watch.refreshed(timedelta(0))
    watch.run("the server refused us: 401\x1b[2J")
    assert watch.look() == [
        "sync failed acme raised: model_versions: the server refused us: 401\\x1b[2J",
    ]

    for _ in range(3):
        watch.run("the server refused us: 401")
        assert watch.look() == []

    watch.run(None)
    assert watch.look() == ["sync failed acme resolved: well again"]
    assert watch.look() == []


def test_a_run_that_dagster_tries_again_has_not_failed_yet(watch: Watch) -> None:
    watch.run("its process died", tags={"dagster/will_retry": "true"})
    assert watch.look() == []


def test_a_late_tenant_is_told_of_until_a_sync_went_through_all_stages(watch: Watch) -> None:
    watch.refreshed(timedelta(minutes=129))
    assert watch.look() == []
    watch.refreshed(timedelta(minutes=131))

    (told,) = watch.look()
    assert told.startswith("tenant stale acme raised: not gone through in time: registered_models, model_versions, ")
    assert told.endswith(" UTC. No sync has ended yet")
    assert watch.look() == []
    watch.refreshed(timedelta(minutes=1))
    assert watch.look() == ["tenant stale acme resolved: well again"]


def test_changed_bytes_are_told_of_once_with_names_that_cannot_act(watch: Watch) -> None:
    def change(paths: list[str]) -> None:
        now = datetime.now(UTC)
        events = [
            integrity.IntegrityEvent(("fraud\n\x1b[31m", 1), 1, None, _changed(path), former_read_at=now)
            for path in paths
        ]
        with watch.store.begin("acme") as session:
            integrity.append(session, "s", events, now)

    change(["model.pkl", "MLmodel"])
    what = "integrity event acme raised: bytes changed under a version that did not: "
    assert watch.look() == [f"{what}'MLmodel' of 'fraud\\n\\x1b[31m' version 1, and 1 more changes"]
    assert watch.look() == []
    change(["conda.yaml"])
    assert watch.look() == [f"{what}'conda.yaml' of 'fraud\\n\\x1b[31m' version 1"]


def test_a_damaged_trail_is_found_by_the_daily_job_and_told_of_once(watch: Watch) -> None:
    def verify() -> bool:
        return verify_audit_trails.execute_in_process(instance=watch.instance, raise_on_error=False).success

    assert verify()
    assert watch.look() == []
    with watch.store.begin("acme") as session:
        session.execute(text("ALTER TABLE verifywise.audit_trail DISABLE TRIGGER USER"))
        session.execute(text("UPDATE verifywise.audit_trail SET entry = replace(entry, 'noted', 'never')"))

    assert not verify()
    (told,) = watch.look()
    assert told.startswith("audit trail damaged acme raised: edit: ")
    assert not verify()
    assert watch.look() == []


def test_failed_runs_are_told_of_while_our_database_is_away(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    watch.run("the database cannot be reached")

    assert watch.look() == ["sync failed acme raised: model_versions: the database cannot be reached"]


def _changed(path: str) -> ByteChange:
    return ByteChange(
        kind="changed", root="model", path=path, former_sha256="a" * 64, sha256="b" * 64, former_size=1, size=1
    )
