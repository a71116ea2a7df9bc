"""The sensor and the job that send checkpoints to witnesses, and the alert if a witness refuses a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from verifywise_mlflow.alerts.targets.log import ALERTS_LOGGER
from verifywise_mlflow.defs.schedules.audit_verification import verify_audit_trails
from verifywise_mlflow.defs.sensors.alerts import alerts
from verifywise_mlflow.defs.sensors.due_checkpoints import due_checkpoints, witness_checkpoints
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.tenant_activation import activate_tenant
from verifywise_mlflow.services.audit_signing import sign_chain_head
from verifywise_mlflow_tests.support.audit_chains import KEY, NOW
from verifywise_mlflow_tests.support.evaluation_fixtures import tenant_with_policies
from verifywise_mlflow_tests.support.trail_entries import append, entry


@pytest.fixture
def folder(store: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a witness, and a store with a checkpoint of acme."""
    append(store, entry(1))
    with store.begin("acme") as session:
        sign_chain_head(session, KEY, NOW)
    tenants, witnesses, folder = tmp_path / "tenants.yaml", tmp_path / "witnesses.yaml", tmp_path / "share"
    tenants.write_text("tenants:\n  acme: {tracking_uri: 'https://a.example'}\n")
    witnesses.write_text(f"witnesses: [{{kind: folder, name: share, directory: {folder}}}]")
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(tenants))
    monkeypatch.setenv("VERIFYWISE_AUDIT_WITNESSES", str(witnesses))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    return folder


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def tick(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    decision = due_checkpoints(dg.build_sensor_context(instance=instance))
    assert isinstance(decision, dg.RunRequest | dg.SkipReason)
    return decision


def run(instance: dg.DagsterInstance) -> bool:
    return witness_checkpoints.execute_in_process(instance=instance, raise_on_error=False).success


def test_a_run_is_requested_until_the_witness_has_the_checkpoint(folder: Path, instance: dg.DagsterInstance) -> None:
    folder.mkdir()
    assert isinstance(tick(instance), dg.RunRequest)

    assert run(instance)

    assert (folder / "acme.jsonl").is_file()
    assert isinstance(tick(instance), dg.SkipReason)


def test_a_witness_that_fails_raises_one_alert_until_it_has_the_checkpoint(
    folder: Path, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    cursor: str | None = None

    def sent_alerts() -> list[str]:
        nonlocal cursor
        caplog.clear()
        context = dg.build_sensor_context(instance=instance, cursor=cursor)
        alerts(context)
        cursor = context.cursor
        lines = [record.getMessage() for record in caplog.records if record.name == ALERTS_LOGGER]
        return [line.split("Z ", 1)[1] for line in lines if "checkpoints not witnessed" in line]

    assert not run(instance)
    (raised,) = sent_alerts()
    assert raised.startswith(
        "checkpoints not witnessed raised: send_checkpoints: acme: the checkpoint cannot be written"
    )
    assert "share/acme.jsonl: No such file or directory" in raised
    assert isinstance(tick(instance), dg.RunRequest), "it is tried again"
    assert not run(instance)
    assert sent_alerts() == []

    folder.mkdir()
    assert run(instance)
    assert sent_alerts() == ["checkpoints not witnessed resolved: back to normal"]


def test_the_daily_verification_notices_an_end_that_was_cut_off_since_the_folder_got_a_checkpoint(
    folder: Path, store: Store, instance: dg.DagsterInstance
) -> None:
    folder.mkdir()
    with store.begin("acme") as session:
        activate_tenant(session, tenant_with_policies(), NOW)
        sign_chain_head(session, KEY, NOW)
    assert run(instance)
    with store.begin("acme") as session:
        for table in ("audit_trail", "audit_checkpoints"):
            session.execute(text(f"ALTER TABLE verifywise_mlflow.{table} DISABLE TRIGGER append_only"))
            session.execute(text(f"DELETE FROM verifywise_mlflow.{table} WHERE sequence > 1"))
            session.execute(text(f"ALTER TABLE verifywise_mlflow.{table} ENABLE ALWAYS TRIGGER append_only"))

    result = verify_audit_trails.execute_in_process(instance=instance, raise_on_error=False)

    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data is not None
    assert "truncation: entries 2 to" in str(failure.user_failure_data.metadata["damaged"].value)


def test_an_invalid_file_of_witnesses_fails_a_run_so_that_it_raises_an_alert(
    folder: Path, instance: dg.DagsterInstance
) -> None:
    (folder.parent / "witnesses.yaml").write_text("witnesses: []")

    assert isinstance(tick(instance), dg.RunRequest)
    assert not run(instance)


def test_a_misspelled_tenant_fails_a_run_that_still_serves_the_others(
    folder: Path, instance: dg.DagsterInstance
) -> None:
    folder.mkdir()
    settings = f"kind: folder, name: share, directory: {folder}, tenants: [acme, acmee]"
    (folder.parent / "witnesses.yaml").write_text(f"witnesses: [{{{settings}}}]")

    assert not run(instance)
    assert (folder / "acme.jsonl").is_file()


def test_without_a_file_of_witnesses_nothing_is_requested(
    folder: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VERIFYWISE_AUDIT_WITNESSES")

    assert "no witness is configured" in str(tick(instance))
