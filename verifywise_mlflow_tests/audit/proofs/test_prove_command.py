"""``verifywise-mlflow audit prove``."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.proof import UnprovableError
from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.queries import committed_states
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.services import proofs
from verifywise_mlflow.services.proofs import provable_moment, prove_consistency, prove_version
from verifywise_mlflow_tests.audit.proofs.proof_script import run_script
from verifywise_mlflow_tests.audit.proofs.proved_tenants import FIRST_SYNC, THIRD_SYNC, ProvedTenants
from verifywise_mlflow_tests.support.json_documents import check_document

runner = CliRunner(env={"COLUMNS": "80"})


@pytest.fixture(autouse=True)
def _database(proved: ProvedTenants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", proved.url)


def test_it_writes_a_proof_that_the_script_accepts(proved: ProvedTenants, tmp_path: Path) -> None:
    path = tmp_path / "churn-1.json"

    result = runner.invoke(app, ["audit", "prove", "acme", "churn", "1", "--output", str(path)])

    assert (result.exit_code, result.stdout) == (0, ""), result.output
    assert "churn version 1 as of entry" in result.stderr
    document = check_document(path.read_text())
    assert document["schema"].endswith("/state-proof.v1")
    assert run_script(document, path, "--public-key", proved.public_key)[0] == 0


def test_it_proves_what_was_known_on_a_day(proved: ProvedTenants, tmp_path: Path) -> None:
    result = runner.invoke(app, ["audit", "prove", "acme", "churn", "1", "--as-of", "2026-03-01T13:00Z"])

    document = check_document(result.stdout)
    code, printed = run_script(document, tmp_path / "p.json", "--public-key", proved.public_key)
    assert (code, "- owned: pass." in printed) == (0, True), printed


def test_it_proves_that_the_trail_extends_a_checkpoint_that_was_saved(proved: ProvedTenants, tmp_path: Path) -> None:
    with proved.store.begin("acme") as session:
        first, last = committed_states.first_signed(session, 1), committed_states.last_signed(session)
        (checkpoint,) = committed_states.checkpoints_of(session, first or 0)
    saved = tmp_path / "saved.jsonl"
    saved.write_text(checkpoint.to_json_line() + "\n")

    result = runner.invoke(app, ["audit", "prove", "--consistency", str(saved), str(last), "acme"])

    document = check_document(result.stdout)
    arguments = ("--public-key", proved.public_key, "--checkpoint", saved)
    code, printed = run_script(document, tmp_path / "p.json", *arguments)
    assert (code, f"Entries {first} to {last} are one chain." in printed) == (0, True), printed
    assert f"Entries {first} to {last}: " in result.stderr


def run_on_terminal(*arguments: str) -> tuple[int, str]:
    """Run the command with a terminal for its output; return its exit code and what the terminal shows."""
    terminal, its_end = pty.openpty()
    command = [sys.executable, "-m", "verifywise_mlflow.cli", "audit", "prove", *arguments]
    with subprocess.Popen(command, stdout=its_end, stderr=its_end) as process:
        os.close(its_end)
        shown = b""
        with suppress(OSError):  # EIO after the end of the process
            while read := os.read(terminal, 65_536):
                shown += read
    os.close(terminal)
    return process.returncode, shown.decode()


def test_on_a_terminal_it_names_a_file_to_write_and_prints_the_proof_only_as_json() -> None:
    refused, said = run_on_terminal("acme", "churn", "1")
    requested, shown = run_on_terminal("acme", "churn", "1", "--json")

    assert (refused, "write it with --output churn-1-proof.json" in " ".join(said.split())) == (2, True), said
    assert "{" not in said
    assert (requested, check_document(shown)["model_name"]) == (0, "churn")


def test_json_prints_the_proof_on_one_line_and_nothing_else_and_errors_as_json(proved: ProvedTenants) -> None:
    printed = runner.invoke(app, ["audit", "prove", "acme", "churn", "1", "--json"])
    piped = runner.invoke(app, ["audit", "prove", "acme", "churn", "1"])
    errors = [
        runner.invoke(app, ["audit", "prove", "acme", *arguments, "--json"])
        for arguments in (["churn"], ["churn", "9"], ["churn", "1", "--checkpoint", "nosuch"])
    ]

    assert (printed.exit_code, printed.stderr, printed.stdout.count("\n")) == (0, "", 1)
    assert check_document(printed.stdout) == check_document(piped.stdout)
    assert [(it.exit_code, it.stderr, json.loads(it.stdout)["outcome"]) for it in errors] == [
        (code, "", "failed") for code in (2, 3, 2)
    ]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["acme", "churn", "9"], 3, "version 9"),
        (["acme", "chrun", "1"], 3, "'churn'"),
        (["acne", "churn", "1"], 3, "'acme'"),
        (["acme", "churn", "1", "--as-of", "2026-02-01T00:00Z"], 1, "the first one that does is entry"),
        (["acme", "churn"], 2, "name a MODEL and its VERSION"),
        (["acme", "churn/1"], 2, "MODEL and VERSION are two words: audit prove acme churn 1"),
        (["acme", "models:/churn/1"], 2, "MODEL and VERSION are two words: audit prove acme churn 1"),
        (["acme", "churn", "1", "--consistency", "1", "2"], 2, "leave MODEL, VERSION and --as-of out"),
        (["acme", "churn", "1", "--checkpoint", "no-such-file"], 2, "no-such-file: No such file or directory"),
        (["acme", "--consistency", "1", "2", "--checkpoint", "x"], 2, "give a checkpoint as OLD or NEW"),
        (["acme", "--consistency", "1", "999"], 1, "does not have all entries up to 999: the last one is entry "),
        (["acme", "--consistency", "998", "999"], 1, "does not have all entries up to 999: the last one is entry "),
        (["acme", "--consistency", "5", "4"], 1, "does not come after"),
        (["acme", "--consistency", "0", "4"], 1, "there is no entry 0: the first entry of a trail is entry 1"),
        (["acme", "--consistency", "1", "no-such-file"], 2, "no-such-file: No such file or directory"),
        (["acme", "churn", "1", "--output", "no/such/folder.json"], 2, "cannot write"),
        (["acme", "churn", "1", "--output", "p.json", "--json"], 2, "use one of them"),
    ],
)
def test_it_says_why_there_is_no_proof(arguments: list[str], exit_code: int, said: str) -> None:
    result = runner.invoke(app, ["audit", "prove", *arguments])

    assert result.exit_code == exit_code, result.output
    assert said in " ".join(result.output.split())
    assert "as of entry" not in result.output  # no message of success


def test_the_proof_of_what_an_auditor_s_checkpoint_covers_is_covered_by_it(
    proved: ProvedTenants, tmp_path: Path
) -> None:
    """The checkpoint does not cover the newest proof: syncs have run since it was saved."""
    with proved.store.begin("acme") as session:
        first = provable_moment(session, FIRST_SYNC)
        (checkpoint,) = committed_states.checkpoints_of(session, first.link.sequence)
    saved = tmp_path / "saved.jsonl"
    saved.write_bytes(b"\xef\xbb\xbf" + checkpoint.to_json_line().encode() + b"\r\n")
    given = ("--public-key", proved.public_key, "--checkpoint", saved)

    newest = runner.invoke(app, ["audit", "prove", "acme", "churn", "1"])
    covered = runner.invoke(app, ["audit", "prove", "acme", "churn", "1", "--checkpoint", str(saved)])

    codes = [run_script(json.loads(it.stdout), tmp_path / "p.json", *given)[0] for it in (newest, covered)]
    assert codes == [4, 0]
    assert f"as of entry {first.link.sequence}," in covered.stderr


def test_a_checkpoint_that_the_trail_does_not_have_or_that_is_too_old_is_refused(proved: ProvedTenants) -> None:
    with proved.store.begin("acme") as session:
        first = provable_moment(session, FIRST_SYNC)
        (checkpoint,) = committed_states.checkpoints_of(session, first.link.sequence)
        last = committed_states.last_entry(session)
        stated: dict[str, dict[str, object]] = {
            f"does not have entry {last + 1} as the checkpoint signs it": {"sequence": last + 1},
            f"does not have entry {first.link.sequence} as the checkpoint signs it": {"entry_hash": "00" * 32},
            "up to entry 1, which was signed; the first one that does is entry": {"sequence": 1},
        }
        for said, fields in stated.items():
            changed = Checkpoint(json.dumps({**json.loads(checkpoint.text), **fields}), checkpoint.signature)
            with pytest.raises(UnprovableError, match=said):
                provable_moment(session, covered_by=changed)
        with pytest.raises(UnprovableError, match="take a newer checkpoint, or leave --as-of out"):
            provable_moment(session, THIRD_SYNC, covered_by=checkpoint)


def test_a_checkpoint_of_another_tenant_or_no_checkpoint_is_refused(proved: ProvedTenants, tmp_path: Path) -> None:
    with proved.store.begin("globex") as session:
        line = provable_moment(session).checkpoints[0].to_json_line()
    for content, said in ((line, "is that of 'globex'"), ("{}", "no checkpoint"), ("\n", "holds no checkpoint")):
        file = tmp_path / "saved.jsonl"
        file.write_text(content)

        result = runner.invoke(app, ["audit", "prove", "acme", "--consistency", str(file), "9"])

        assert (result.exit_code, said in " ".join(result.output.split())) == (2, True), result.output


class _UndoError(Exception):
    """Rolls a test's forgery back."""


@contextmanager
def forged(proved: ProvedTenants, table: str, statement: str) -> Iterator[TenantSession]:
    """Change rows with disabled triggers, as the owner of the database can; undo this at the end of the block."""
    with suppress(_UndoError), proved.store.begin("acme") as session:
        session.execute(text(f"ALTER TABLE verifywise_mlflow.{table} DISABLE TRIGGER USER"))
        session.execute(text(statement.format(table=f"verifywise_mlflow.{table}")))
        yield session
        raise _UndoError


@pytest.mark.parametrize(
    ("table", "statement", "said"),
    [
        ("canonical_records", "UPDATE {table} SET owner = 'Trust'", "the record of 'churn' version 1 of"),
        (
            "version_verdicts",
            "UPDATE {table} SET verdicts = array_fill('pass'::text, ARRAY[3])",
            "the evaluation of 'churn' version 1 of",
        ),
        ("state_log", "UPDATE {table} SET leaf_hash = repeat('0', 64) WHERE position = 3", "the log of states is not"),
        ("state_log", "DELETE FROM {table} WHERE position = 3", "the log of states is not the one"),
    ],
)
def test_a_forged_row_has_no_proof(proved: ProvedTenants, table: str, statement: str, said: str) -> None:
    with forged(proved, table, statement) as session, pytest.raises(UnprovableError, match=said):
        prove_version(session, ("churn", 1), provable_moment(session))


def test_before_a_sync_has_ended_it_says_what_is_missing(proved: ProvedTenants) -> None:
    with proved.store.begin("newcomer") as session, pytest.raises(UnprovableError, match="a sync has to end first"):
        provable_moment(session)


def test_a_checkpoint_that_is_too_far_away_is_refused(proved: ProvedTenants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "MAX_ENTRIES", 1)
    statement = "DELETE FROM {table} WHERE sequence = (SELECT min(sequence) FROM {table} WHERE tenant_id = 'acme')"

    with (
        forged(proved, "audit_checkpoints", statement) as session,
        pytest.raises(UnprovableError, match="Let each sync sign a checkpoint"),
    ):
        provable_moment(session, FIRST_SYNC)


def test_without_a_checkpoint_after_it_the_newest_state_is_left_out_with_a_hint(proved: ProvedTenants) -> None:
    statement = "DELETE FROM {table} WHERE sequence = (SELECT max(sequence) FROM {table} WHERE tenant_id = 'acme')"

    with forged(proved, "audit_checkpoints", statement) as session:
        newest = committed_states.last_commitment(session)
        assert newest is not None
        covered, uncovered = provable_moment(session), provable_moment(session, THIRD_SYNC)

    assert (covered.newer, covered.link.sequence < newest.sequence) == (newest.sequence, True)
    assert (uncovered.link.sequence, uncovered.checkpoints) == (newest.sequence, [])


def test_entries_without_a_commitment_prove_the_trail_alone(proved: ProvedTenants) -> None:
    with proved.store.begin("acme") as session:
        proof = prove_consistency(session, 1, 2)

    assert proof.growth is None
    assert [json.loads(entry)["sequence"] for entry in proof.entries] == [1, 2]
