"""Each checkpoint is sent once from the store to each witness, and a witness that fails delays no other witness."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.repositories import audit_log, checkpoint_receipts
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import sign_chain_head
from verifywise_mlflow.witnesses.folder import FolderWitness
from verifywise_mlflow.witnesses.reading import stamped_checkpoints_in
from verifywise_mlflow.witnesses.sending import Sender
from verifywise_mlflow.witnesses.settings import load_witnesses
from verifywise_mlflow.witnesses.timestamp_authority import TimestampAuthority
from verifywise_mlflow.witnesses.webhook import WebhookWitness
from verifywise_mlflow.witnesses.witness import Witness
from verifywise_mlflow_tests.alerts.receivers import Webhook, webhook
from verifywise_mlflow_tests.support.audit_chains import KEY
from verifywise_mlflow_tests.support.documentation import ROOT
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.trail_entries import append, entry
from verifywise_mlflow_tests.witnesses.timestamp_server import TimestampServer, timestamp_server

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimestampServer]:
    with timestamp_server(tmp_path_factory.mktemp("authority")) as server:
        yield server


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with webhook() as receiver:
        monkeypatch.setenv("AUDITOR_URL", receiver.url)
        yield receiver


@pytest.fixture
def witnesses_file(
    receiver: Webhook, authority: TimestampServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A file with a witness of each kind that needs no bucket. The authority is last here, but must come first."""
    monkeypatch.setenv("AUDITOR_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    content = [
        {"kind": "folder", "name": "share", "directory": str(tmp_path)},
        {
            "kind": "webhook",
            "name": "auditor",
            "url": "env:AUDITOR_URL",
            "signing_secrets": ["env:AUDITOR_SECRET"],
            "allow_private_network": True,
        },
        {
            "kind": "timestamp",
            "name": "tsa",
            "url": authority.url,
            "roots": str(authority.root),
            "allow_private_network": True,
        },
    ]
    path = tmp_path / "witnesses.yaml"
    path.write_text(yaml.safe_dump({"witnesses": content}))
    monkeypatch.setenv("VERIFYWISE_AUDIT_WITNESSES", str(path))
    return path


def sign_entries(store: Store, number: int) -> None:
    """Append entries to acme's trail and sign its end."""
    append(store, *(entry(position) for position in range(number)))
    with store.begin("acme") as session:
        sign_chain_head(session, KEY, NOW)


def test_each_witness_gets_the_newest_checkpoint_once_with_the_token_of_the_authority(
    store: Store, witnesses_file: Path, receiver: Webhook, tmp_path: Path
) -> None:
    sign_entries(store, 1)
    sign_entries(store, 2)
    sender = Sender(store, load_witnesses(), now=lambda: NOW)

    assert sender.has_due(["acme"])
    results = sender.send_all(["acme"])

    assert [(result.witness, result.sequence, result.problem) for result in results] == [
        ("tsa", 3, None),
        ("share", 3, None),
        ("auditor", 3, None),
    ]
    (in_folder,) = stamped_checkpoints_in((tmp_path / "acme.jsonl").read_text())
    (posted,) = receiver.posted
    assert stamped_checkpoints_in(json.dumps(posted)) == [in_folder]
    assert in_folder.token
    assert receiver.headers[0]["webhook-signature"].startswith("v1,")
    assert not sender.has_due(["acme"])
    assert sender.send_all(["acme"]) == []


def test_a_witness_gets_the_next_checkpoint_after_its_interval(store: Store, tmp_path: Path) -> None:
    folder = FolderWitness(name="share", directory=tmp_path, interval_minutes=60)
    sign_entries(store, 1)
    Sender(store, [folder], now=lambda: NOW).send("acme")
    sign_entries(store, 1)

    early = Sender(store, [folder], now=lambda: NOW + timedelta(minutes=59))
    later = Sender(store, [folder], now=lambda: NOW + timedelta(minutes=60))

    assert (early.has_due(["acme"]), early.send("acme")) == (False, [])
    assert later.has_due(["acme"])
    assert [result.sequence for result in later.send("acme")] == [2]


def test_a_witness_that_fails_delays_no_other_and_gets_the_newest_checkpoint_later(
    store: Store, receiver: Webhook, tmp_path: Path
) -> None:
    auditor = WebhookWitness.model_validate(
        {"name": "auditor", "url": "env:AUDITOR_URL", "allow_private_network": True}
    )
    witnesses: list[Witness] = [auditor, FolderWitness(name="share", directory=tmp_path)]
    receiver.status = 500
    sign_entries(store, 1)

    failed = Sender(store, witnesses, now=lambda: NOW).send("acme")
    receiver.status = 204
    sign_entries(store, 1)
    sender = Sender(store, witnesses, now=lambda: NOW + timedelta(minutes=10))
    again = sender.send("acme")

    assert [(result.witness, result.sequence, bool(result.problem)) for result in failed] == [
        ("auditor", 1, True),
        ("share", 1, False),
    ]
    assert "the witness auditor responded with 500" in str(failed[0].problem)
    assert [(result.witness, result.sequence) for result in again] == [("auditor", 2)], "the folder's interval lasts"
    assert len(receiver.posted) == 2


def test_a_witness_that_does_not_respond_is_tried_once_a_run(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEAD", "http://127.0.0.1:1/")
    dead = WebhookWitness.model_validate({"name": "dead", "url": "env:DEAD", "allow_private_network": True})
    sign_entries(store, 1)
    sender = Sender(store, [dead])

    results = sender.send_all(["acme", "acme"])

    assert len(results) == 1
    assert results[0].problem


def test_a_witness_may_be_for_some_tenants_only(store: Store, tmp_path: Path) -> None:
    sign_entries(store, 1)
    folder = FolderWitness(name="share", directory=tmp_path, tenants=("globex",))

    assert Sender(store, [folder]).send("acme") == []


def test_a_checkpoint_that_does_not_belong_to_the_trail_is_not_sent(store: Store, tmp_path: Path) -> None:
    sign_entries(store, 1)
    with store.begin("acme") as session:
        (genuine,) = audit_log.checkpoints(session)
        claim = genuine.checkpoint.text.replace('"sequence":1', '"sequence":900')
        session.execute(
            text("INSERT INTO verifywise_mlflow.audit_checkpoints VALUES ('acme', 900, :claim, '00')"), {"claim": claim}
        )
    folder = FolderWitness(name="share", directory=tmp_path)

    (result,) = Sender(store, [folder]).send("acme")

    assert "the checkpoint of entry 900 was not sent: the trail has another entry there, or none" in str(result.problem)
    assert [*tmp_path.iterdir()] == []


def test_the_command_sends_by_hand_and_shows_what_each_witness_has(
    store: Store, database_url: str, witnesses_file: Path, authority: TimestampServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    monkeypatch.chdir(witnesses_file.parent)
    sign_entries(store, 2)
    run = CliRunner().invoke

    before = json.loads(run(app, ["audit", "witness", "acme", "--dry-run", "--json"]).stdout)
    sent = run(app, ["audit", "witness", "acme", "--receipts", "receipts.jsonl"])
    after = json.loads(run(app, ["audit", "witness", "acme", "--dry-run", "--json"]).stdout)

    assert sent.exit_code == 0, sent.output
    assert "the newest checkpoint signs entry 2" in sent.stdout
    assert [item["sequence"] for item in before["witnesses"]] == [None, None, None]
    assert [item["sequence"] for item in after["witnesses"]] == [2, 2, 2]
    for saved in ("receipts.jsonl", "acme.jsonl"):
        verified = run(app, ["audit", "timestamps", saved, "--roots", str(authority.root), "--json"])
        assert verified.exit_code == 0, verified.output
        assert json.loads(verified.stdout)["timestamps"][0]["sequence"] == 2


def test_a_trail_that_was_cut_off_is_noticed_by_what_each_witness_has(
    store: Store, database_url: str, witnesses_file: Path, receiver: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    monkeypatch.chdir(witnesses_file.parent)
    sign_entries(store, 4)
    CliRunner().invoke(app, ["audit", "witness", "acme", "--receipts", "receipts.jsonl"])
    Path("posted.json").write_text(json.dumps(receiver.posted[0]))
    with store.begin("acme") as session:
        for table in ("audit_trail", "audit_checkpoints"):
            session.execute(text(f"ALTER TABLE verifywise_mlflow.{table} DISABLE TRIGGER append_only"))
            session.execute(text(f"DELETE FROM verifywise_mlflow.{table} WHERE sequence > 2"))

    for saved in ("acme.jsonl", "posted.json", "receipts.jsonl"):
        result = CliRunner().invoke(app, ["audit", "verify", "acme", "--checkpoint", saved])
        assert result.exit_code == 1
        assert "DAMAGED (truncation)" in result.stdout, saved
    CliRunner().invoke(app, ["audit", "export", "acme", "--output", "export.jsonl"])
    script = [
        sys.executable,
        str(ROOT / "tools" / "verify_audit_export.py"),
        "export.jsonl",
        "--checkpoint",
        "acme.jsonl",
    ]
    assert subprocess.run(script, check=False, capture_output=True).returncode == 1
    with store.begin("acme") as session:
        sign_chain_head(session, KEY, NOW)
    again = CliRunner().invoke(app, ["audit", "witness", "acme"])
    assert again.exit_code == 1
    assert "contradicts that of entry 2" in " ".join(again.stdout.split())


def test_a_pipeline_records_receipts_and_cannot_change_them(store: Store, database_url: str, tmp_path: Path) -> None:
    sign_entries(store, 1)
    with login_role(database_url, new_name("pipeline")) as role:
        with store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "pipeline", None, NOW)
        with Store(role.url) as as_pipeline:
            Sender(as_pipeline, [FolderWitness(name="share", directory=tmp_path)]).send("acme")
            with pytest.raises(DatabaseError), as_pipeline.begin("acme") as session:
                session.execute(text("DELETE FROM verifywise_mlflow.checkpoint_receipts"))

    with store.begin("acme") as session:
        assert [*checkpoint_receipts.last_receipts(session)] == ["share"]


def test_receipts_name_the_checkpoint_that_they_are_about(store: Store, tmp_path: Path) -> None:
    sign_entries(store, 1)
    Sender(store, [FolderWitness(name="share", directory=tmp_path)]).send("acme")

    with store.begin("acme") as session:
        ((receipt, checkpoint),) = checkpoint_receipts.receipts_with_checkpoints(session)
    assert receipt.details == {"path": str(tmp_path / "acme.jsonl")}
    assert checkpoint == Checkpoint.from_json_line((tmp_path / "acme.jsonl").read_text())


def test_an_authority_gets_a_hash_of_a_checkpoint_once_a_day_by_default() -> None:
    authority = TimestampAuthority(name="tsa", url="http://timestamp.example.com", roots=Path("/roots.pem"))

    assert authority.interval == timedelta(days=1)
