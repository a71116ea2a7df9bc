"""The commands ``verifywise-mlflow audit``, as the documentation has them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from verifywise_mlflow.audit.checkpoint import CHECKPOINT_FORMAT, Checkpoint, sign_checkpoint
from verifywise_mlflow.audit.entry import KINDS_WITH_ACTOR, EntryKind
from verifywise_mlflow.audit.keys import PublicKey, SigningKey
from verifywise_mlflow.audit.state_leaf import State
from verifywise_mlflow.audit.tampering import DamageKind
from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.repositories import audit_log, state_log
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.audit_signing import PREVIOUS_KEY_VARIABLE, SIGNING_KEY_VARIABLE, sign_chain_head
from verifywise_mlflow_tests.support.audit_chains import KEY, make_chain, signed_checkpoint
from verifywise_mlflow_tests.support.documentation import ROOT, read_page
from verifywise_mlflow_tests.support.terminal_width import set_terminal_width
from verifywise_mlflow_tests.support.trail_entries import append, entry

GUIDE = read_page("how-to/verify-audit-trail.md")
REFERENCE = read_page("reference/audit-trail.md")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["audit", *arguments])


@pytest.fixture
def filled(store: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with a trail of 8 entries; its commands run in a folder of their own, with a key."""
    append(store, *(entry(number, "[red]why[/red]\n") for number in range(8)))
    (tmp_path / "given.pem").write_bytes(KEY.pem())
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, f"file:{tmp_path}/given.pem")
    monkeypatch.chdir(tmp_path)
    return store


def forge_state(store: Store) -> None:
    """Add a state in the name of a sync that does not exist."""
    with store.begin("acme") as session:
        state_log.append(session, [State("record", "credit", 1, "", datetime.now(UTC), "forged", "00" * 32)])


def test_each_command_of_the_guide_succeeds(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = re.findall(r"^(?:verifywise-mlflow audit|python3 tools/verify_audit_export.py) .*$", GUIDE, re.MULTILINE)
    assert len(commands) == 13
    for command in commands:
        program, *arguments = shlex.split(command)
        if program == "python3":
            script = ROOT / arguments.pop(0)
            assert subprocess.run([sys.executable, script, *arguments], check=False).returncode == 0
            continue
        if arguments[1] == "accept-states":
            forge_state(filled)
        if arguments[1] == "rotate-key":
            monkeypatch.setenv(PREVIOUS_KEY_VARIABLE, os.environ[SIGNING_KEY_VARIABLE])
            monkeypatch.setenv(SIGNING_KEY_VARIABLE, f"file:{Path('new-signing.pem').absolute()}")
        result = run(*arguments[1:])
        assert result.exit_code == 0, result.output
        if arguments[1] == "checkpoint":
            Path("kept.jsonl").write_text(result.stdout)
            Path("public.pem").write_text(KEY.public.pem())


def test_the_reference_names_each_kind_of_entry_and_of_damage() -> None:
    assert [kind for kind in EntryKind.__args__ if f"`{kind}`" not in REFERENCE] == []  # type: ignore[attr-defined]
    assert [kind for kind in DamageKind.__args__ if f"`{kind}`" not in REFERENCE] == []  # type: ignore[attr-defined]
    (with_actor,) = re.findall(r"have an actor if a person can be the cause: (.*?)\. All", REFERENCE, re.DOTALL)
    assert set(re.findall(r"`([^`]+)`", with_actor)) == KINDS_WITH_ACTOR


def test_an_external_checkpoint_reveals_a_truncated_trail(filled: Store) -> None:
    Path("kept.jsonl").write_text(run("checkpoint", "acme").stdout)
    with filled.begin("acme") as session:
        for table in ("audit_trail", "audit_checkpoints"):
            session.execute(text(f"ALTER TABLE verifywise_mlflow.{table} DISABLE TRIGGER append_only"))
            session.execute(text(f"DELETE FROM verifywise_mlflow.{table} WHERE sequence > 5"))

    assert run("verify", "acme").exit_code == 0
    result = run("verify", "acme", "--checkpoint", "kept.jsonl", "--json")
    report = json.loads(result.stdout)

    assert (result.exit_code, report["outcome"], report["damage"]["kind"]) == (1, "damaged", "truncation")
    assert (report["damage"]["sequence"], report["entries"], report["signatures_judged"]) == (6, 5, False)
    assert "DAMAGED (truncation)" in run("verify", "acme", "--checkpoint", "kept.jsonl").stdout


def test_with_a_key_success_needs_a_signature_and_a_statement_from_outside(filled: Store) -> None:
    Path("public.pem").write_text(KEY.public.pem())
    with_key = ("verify", "acme", "--public-key", "public.pem")

    result = run("verify", "acme")
    assert (result.exit_code, "no signature was verified" in result.stdout) == (0, True)
    result = run(*with_key)
    assert (result.exit_code, "no signature vouches for this trail" in result.stdout) == (1, True)

    Path("kept.jsonl").write_text(run("checkpoint", "acme").stdout)
    result = run(*with_key)
    assert (result.exit_code, "entries after 8, if others ever existed" in result.stdout) == (4, True)
    result = run(*with_key, "--checkpoint", "kept.jsonl")
    assert (result.exit_code, "NOT proved" in result.stdout) == (0, False), result.stdout

    append(filled, entry(9))
    result = run(*with_key, "--checkpoint", "kept.jsonl", "--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["outcome"], report["vouched"], report["witnessed"]) == (4, "unproved", 8, 8)
    assert report["not_proved"][:2] == [
        "no checkpoint covers entry 9",
        "no checkpoint or head from outside covers entry 9",
    ]
    assert "1 entry follows it" in run(*with_key).stdout
    assert run(*with_key, "--checkpoint", "kept.jsonl", "--through", "8").exit_code == 0
    assert run(*with_key, "--head", f"9:{report['head']}").exit_code == 0
    assert run(*with_key, "--head", f"10:{report['head']}").exit_code == 1


def test_a_checkpoint_of_another_tenant_is_a_wrong_file(filled: Store) -> None:
    own, other = run("checkpoint", "acme").stdout, signed_checkpoint(make_chain(["x"], "globex")[0], tenant_id="globex")
    Path("kept.jsonl").write_text(own + other.checkpoint.to_json_line())

    result = run("verify", "acme", "--checkpoint", "kept.jsonl")

    assert (result.exit_code, "DAMAGED" in result.output) == (2, False)
    assert "kept.jsonl: it has a checkpoint of 'globex': pass checkpoints of 'acme' only" in result.stderr


def test_a_wrong_public_key_is_distinguished_from_a_forgery_if_the_auditor_has_a_checkpoint(filled: Store) -> None:
    Path("kept.jsonl").write_text(run("checkpoint", "acme").stdout)
    other = SigningKey.generate()
    Path("other.pem").write_text(other.public.pem())
    with_key = ("verify", "acme", "--public-key", "other.pem")

    alone, with_checkpoint = run(*with_key), run(*with_key, "--checkpoint", "kept.jsonl")

    assert (alone.exit_code, "acme: FAILED (unknown key)" in alone.stdout) == (1, True)
    assert (with_checkpoint.exit_code, with_checkpoint.stdout) == (2, "")
    assert f"name the key {KEY.key_id}, but you supplied {other.key_id}: compare the hash" in with_checkpoint.stderr
    with filled.begin("acme") as session:
        head = audit_log.head(session)
        assert head is not None
    by_other = sign_checkpoint("acme", head, other, datetime.now(UTC))
    Path("by-other.jsonl").write_text(by_other.to_json_line())
    assert run(*with_key, "--checkpoint", "by-other.jsonl").exit_code == 1, "the trail has a signature of another key"


def test_a_checkpoint_that_an_editor_on_windows_saved_is_read(filled: Store) -> None:
    Path("public.pem").write_text(KEY.public.pem())
    Path("kept.jsonl").write_text("\ufeff" + run("checkpoint", "acme").stdout.replace("\n", "\r\n\r\n"))

    result = run("verify", "acme", "--public-key", "public.pem", "--checkpoint", "kept.jsonl")

    assert result.exit_code == 0, result.output
    assert "1 checkpoint agrees, the last over entry 8 at" in result.stdout
    assert ", its signature verified; 0 entries follow it" in result.stdout


def test_a_trail_without_checkpoints_is_not_called_signed(filled: Store) -> None:
    Path("public.pem").write_text(KEY.public.pem())

    for options in ([], ["--public-key", "public.pem"]):
        printed = run("verify", "acme", *options).stdout
        assert ("there is no checkpoint" in printed, "verified;" in printed, "agree" in printed) == (True, False, False)


def test_a_damaged_trail_is_exported_in_full_with_an_error(filled: Store) -> None:
    whole = run("export", "acme").stdout.splitlines()
    with filled.begin("acme") as session:
        session.execute(text("ALTER TABLE verifywise_mlflow.audit_trail DISABLE TRIGGER USER"))
        session.execute(text("DELETE FROM verifywise_mlflow.audit_trail WHERE sequence = 5"))

    printed, to_file = run("export", "acme"), run("export", "acme", "--output", "acme.jsonl")

    for result, exported in ((printed, printed.stdout), (to_file, Path("acme.jsonl").read_text())):
        assert (result.exit_code, "it is DAMAGED (gap): entry 5 is missing" in result.stderr) == (1, True)
        assert exported.splitlines() == [*whole[:4], *whole[5:]]


def test_an_export_to_a_file_says_what_the_file_has(filled: Store) -> None:
    run("checkpoint", "acme")
    with filled.begin("acme") as session:
        head = audit_log.head(session)
        assert head is not None

    result = run("export", "acme", "--output", "acme.jsonl")

    assert result.stdout == f"acme.jsonl: 8 entries of acme, 1 checkpoint; the hash of the last entry is {head.hash}\n"
    assert len(Path("acme.jsonl").read_text().splitlines()) == 9


def test_a_narrow_terminal_shows_each_part_of_an_entry_by_its_name(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_terminal_width(monkeypatch, 60)
    printed = run("show", "acme", "--limit", "1").stdout

    assert [line.split()[0] for line in printed.splitlines() if line and not line.startswith(" ")] == [
        *("#", "when", "what", "outcome", "of", "reason"),
    ]


def test_a_key_is_replaced_only_by_one_for_which_it_vouches(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("public.pem").write_text(KEY.public.pem())
    run("checkpoint", "acme")
    run("new-key", "new.pem")
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, f"file:{Path('new.pem').absolute()}")
    for command in ("checkpoint", "rotate-key"):
        result = run(command, "acme")
        assert (result.exit_code, PREVIOUS_KEY_VARIABLE in result.stderr) == (2, True), result.output

    monkeypatch.setenv(PREVIOUS_KEY_VARIABLE, f"file:{Path('given.pem').absolute()}")
    changed = run("rotate-key", "acme")
    assert (changed.exit_code, len(changed.stdout.splitlines())) == (0, 2)
    assert run("rotate-key", "acme").exit_code == 1, "the trail has this key already"
    monkeypatch.delenv(PREVIOUS_KEY_VARIABLE)
    append(filled, entry(10))
    Path("kept.jsonl").write_text(run("checkpoint", "acme").stdout)

    (change,) = json.loads(run("show", "acme", "--kind", "signing key changed", "--json").stdout)["entries"]
    result = run("verify", "acme", "--public-key", "public.pem", "--checkpoint", "kept.jsonl")
    assert result.exit_code == 0, result.stdout
    assert f"the key {KEY.key_id} vouches for {change['object_name']}" in result.stdout

    monkeypatch.setenv(SIGNING_KEY_VARIABLE, f"file:{Path('given.pem').absolute()}")
    assert run("checkpoint", "acme").exit_code == 2, "a worker that still has the old key"


def test_a_lost_key_is_recorded_and_vouches_for_nothing(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run("checkpoint", "acme")
    Path("public.pem").write_text(KEY.public.pem())
    Path("new-public.pem").write_text(run("new-key", "new.pem").stdout)
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, f"file:{Path('new.pem').absolute()}")

    result = run("rotate-key", "acme", "--previous-key-lost", "the disk of the old server failed")
    Path("kept.jsonl").write_text(result.stdout)

    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 1)
    newest = json.loads(run("show", "acme", "--limit", "1", "--json").stdout)["entries"][-1]
    assert "the previous key is lost: the disk of the old server failed" in newest["reason"]
    verify = ("verify", "acme", "--checkpoint", "kept.jsonl", "--public-key", "public.pem")
    assert "FAILED (unknown key)" in run(*verify).stdout
    assert run(*verify, "--public-key", "new-public.pem").exit_code == 0


def test_entries_are_listed_verbatim_and_can_be_filtered(filled: Store) -> None:
    result = run("show", "acme")
    assert result.stdout.count("[red]why") == 8, "no text of a server is interpreted as a color"

    report = json.loads(run("show", "acme", "--since", "2026-01-02T03:04:10Z", "--limit", "2", "--json").stdout)
    assert [item["sequence"] for item in report["entries"]] == [7, 8]
    assert json.loads(run("show", "acme", "--kind", "sync ended", "--json").stdout)["entries"] == []
    assert json.loads(run("show", "acme", "--since", "2026-01-02T03:04:13Z", "--json").stdout)["entries"] == []


def test_names_and_reasons_are_escaped_for_the_terminal(filled: Store) -> None:
    hostile = "\x1b[31mred\x07\u202egnp\n9 | forged"
    append(filled, replace(entry(9, hostile), object_kind="model version", object_name=hostile))

    output = run("show", "acme").stdout

    assert not {"\x1b", "\x07", "\u202e"} & set(output)
    assert not any(line.startswith("9 | forged") for line in output.splitlines())


def test_errors_are_escaped_for_the_terminal(filled: Store) -> None:
    assert "\x1b" not in run("verify", "acme", "--public-key", "\x1b[2Jabsent").stderr


def test_a_forged_checkpoint_cannot_color_its_verdict(filled: Store) -> None:
    claim = {
        "format": CHECKPOINT_FORMAT,
        "tenant_id": "acme",
        "sequence": 8,
        "entry_hash": "0",
        "signed_at": "\x1b[32m\ud800",
    }
    Path("forged.jsonl").write_text(Checkpoint(json.dumps(claim), "00").to_json_line())

    result = run("verify", "acme", "--checkpoint", "forged.jsonl")

    assert (result.exit_code, "DAMAGED" in result.stdout, "\x1b" in result.stdout) == (1, True, False)


@pytest.mark.parametrize("damaged", ["{}", "[]", '"x"', '{"occurred_at": "never", "kind": 5}'])
def test_a_damaged_entry_is_reported_in_a_sentence(filled: Store, damaged: str) -> None:
    with filled.begin("acme") as session:
        session.execute(text("ALTER TABLE verifywise_mlflow.audit_trail DISABLE TRIGGER append_only"))
        session.execute(
            text("UPDATE verifywise_mlflow.audit_trail SET entry = :damaged WHERE sequence = 5"), {"damaged": damaged}
        )

    for arguments in (["show", "acme"], ["show", "acme", "--since", "2026-01-01"]):
        result = run(*arguments)
        if result.exit_code:
            assert (result.exit_code, "audit verify" in result.stderr) == (1, True), result.output
    assert run("show", "acme").exit_code == 1
    assert "DAMAGED (edit): entry 5" in run("verify", "acme").stdout


def test_two_checkpoints_of_the_same_second_are_stored_once(filled: Store) -> None:
    now = datetime(2026, 3, 3, tzinfo=UTC)
    for _ in range(2):
        with filled.begin("acme") as session:
            sign_chain_head(session, KEY, now)
    with filled.begin("acme") as session:
        assert len(list(audit_log.checkpoints(session))) == 1


def test_a_new_key_file_is_private_and_never_replaces_another(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("new-key", "signing.pem")
    path = Path("signing.pem").absolute()
    Path("public.pem").write_text(result.stdout)
    monkeypatch.setenv(SIGNING_KEY_VARIABLE, f"file:{path}")
    run("checkpoint", "acme")

    assert path.stat().st_mode & 0o777 == 0o600
    key_id = PublicKey.from_pem(result.stdout.encode()).key_id
    for printed in (result, run("public-key")):
        assert (printed.stdout, f"by which all commands and scripts name it: {key_id}" in printed.stderr) == (
            result.stdout,
            True,
        )
    assert run("verify", "acme", "--public-key", "public.pem").exit_code == 4
    again = run("new-key", "signing.pem")
    assert (again.exit_code, "keys are never overwritten: name another file" in again.stderr) == (2, True)
    assert "PRIVATE" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["show", "nobody"], 3, "the database has no tenant 'nobody'"),
        (["verify", "nobody"], 3, "the database has no tenant 'nobody'"),
        (["export", "nobody"], 3, "the database has no tenant 'nobody'"),
        (["checkpoint", "nobody"], 3, "the database has no tenant 'nobody'"),
        (
            ["verify", "acme", "--public-key", "given.pem"],
            2,
            "given.pem: it is a private key, which its owner must keep secret",
        ),
        (["verify", "acme", "--public-key", "/dev/null"], 2, "/dev/null: it is not a public key in PEM"),
        (["verify", "acme", "--public-key", "absent.pem"], 2, "absent.pem: No such file"),
        (["verify", "acme", "--checkpoint", "given.pem"], 2, "given.pem: line 1 is not JSON"),
        (["verify", "acme", "--checkpoint", "/dev/null"], 2, "the file holds no checkpoint"),
        (["verify", "acme", "--checkpoint", sys.executable], 2, "the file is not UTF-8 text: copy it again"),
        (["verify", "acme", "--records", "--sample", "five"], 2, "'five' is not a number of versions, such as 50"),
        (["verify", "acme", "--records", "--sample", "0"], 2, "'0' is not a number of versions, such as 50"),
        (["verify", "acme", "--head", "8"], 2, "--head must be an entry's number and its hash"),
        (
            ["export", "acme", "--output", "absent/a.jsonl"],
            2,
            "cannot write absent/a.jsonl: the folder absent does not exist: create it",
        ),
        (["export", "acme", "--output", "."], 2, "cannot write .: it is a folder: name a file"),
        (["export", "acme", "--output", "/dev/full"], 1, "cannot write /dev/full: No space left"),
    ],
)
def test_an_invalid_argument_is_reported_in_a_sentence(
    filled: Store, arguments: list[str], code: int, reason: str
) -> None:
    result = run(*arguments)

    assert (result.exit_code, reason in result.stderr) == (code, True), result.output


def test_signing_without_a_key_names_the_variable_to_set(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SIGNING_KEY_VARIABLE)
    result = run("checkpoint", "acme")
    assert (result.exit_code, SIGNING_KEY_VARIABLE in result.stderr) == (2, True)

    monkeypatch.setenv(SIGNING_KEY_VARIABLE, "env:ABSENT_KEY")
    result = run("checkpoint", "acme")
    assert (result.exit_code, "ABSENT_KEY" in result.stderr) == (2, True)
