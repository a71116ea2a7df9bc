"""``verifywise-mlflow pack``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.commands.pack import unsigned_note
from verifywise_mlflow.services.evidence_pack import pack_contents
from verifywise_mlflow_tests.documents.pack.packed_versions import FRAUD, PackedTenant, files_of, json_of
from verifywise_mlflow_tests.support.json_documents import check_document

runner = CliRunner(env={"COLUMNS": "80"})


@pytest.fixture(autouse=True)
def _database(packed_tenant: PackedTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", packed_tenant.url)


def test_it_writes_the_pack_and_says_how_to_check_it(fraud_files: Mapping[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "fraud-3.zip"

    result = runner.invoke(app, ["pack", "acme", "fraud", "champion", "--output", str(path)])

    assert result.exit_code == 0, result.output
    assert files_of(path.read_bytes()) == fraud_files
    assert "fraud version 3 as of 2026-03-05 12:00:00 UTC" in result.stdout
    assert "python3 verify.py" in result.stdout


def test_it_says_that_a_proof_is_not_signed_yet(packed_tenant: PackedTenant) -> None:
    with packed_tenant.store.begin("acme") as session:
        contents = pack_contents(session, FRAUD)
    assert contents is not None
    assert contents.proof is not None
    unsigned = replace(contents, proof=replace(contents.proof, checkpoints=()))

    assert unsigned_note(contents) == ()
    assert "run audit checkpoint, then pack again" in unsigned_note(unsigned)[0]


def test_it_packs_a_day_and_a_framework(tmp_path: Path) -> None:
    path = tmp_path / "fraud-3.zip"
    options = ["--output", str(path), "--as-of", "2026-03-03T00:00Z", "--framework", "eu ai act"]

    result = runner.invoke(app, ["pack", "acme", "fraud", "3", *options])

    assert result.exit_code == 0, result.output
    files = files_of(path.read_bytes())
    assert "annex-iv.html" in files
    assert json_of(files, "record.json")["record"]["owner"] == "Team Risk"


def test_programs_get_a_versioned_document(fraud_files: Mapping[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "fraud-3.zip"

    result = runner.invoke(app, ["pack", "acme", "fraud", "3", "--output", str(path), "--json"])

    document = check_document(result.stdout)
    assert document["schema"].endswith("/pack.v1")
    assert document["sha256"] == sha256(path.read_bytes()).hexdigest()
    assert {file["name"]: file["sha256"] for file in document["files"]} == {
        name: sha256(content).hexdigest() for name, content in fraud_files.items()
    }


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["acme", "fraud", "9"], 3, "version 9"),
        (["acme", "frand", "3"], 3, "'fraud'"),
        (["acne", "fraud", "3"], 3, "'acme'"),
        (["acme", "fraud", "3", "--framework", "EU AI Akt"], 3, "EU AI Act"),
        (["acme", "fraud", "3", "--as-of", "2026-02-01"], 1, "there is no record of"),
    ],
)
def test_it_refuses_what_is_not_there(arguments: list[str], exit_code: int, said: str, tmp_path: Path) -> None:
    path = tmp_path / "never.zip"

    result = runner.invoke(app, ["pack", *arguments, "--output", str(path)])

    assert result.exit_code == exit_code, result.output
    assert said in result.output
    assert not path.exists()


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    result = runner.invoke(app, ["pack", "acme", "fraud", "3", "--output", str(tmp_path / "no" / "such.zip")])

    assert result.exit_code == 2
    assert "cannot write" in result.output


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("verifywise_mlflow.documents.p")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "typst", None)

    result = runner.invoke(app, ["pack", "acme", "fraud", "3", "--output", str(tmp_path / "x.zip")])

    assert result.exit_code == 2
    assert "pip install 'verifywise-mlflow[reports]'" in result.output
