"""``verifywise-mlflow pack --system``: one archive for each version in use of the models of an AI system."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.documents.pack.packed_versions import files_of, json_of
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.declared_systems import LENDING, seed_bank, tenant_declaring, write_ai_systems
from verifywise_mlflow_tests.support.evaluation_fixtures import evaluate, store_record
from verifywise_mlflow_tests.support.json_documents import check_document
from verifywise_mlflow_tests.support.stored_states import day, write_record

runner = CliRunner(env={"COLUMNS": "80"})


@pytest.fixture(scope="module")
def bank_url(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = write_ai_systems(tmp_path_factory.mktemp("bank") / "ai_systems.yaml", LENDING)
    with migrated_database(postgres) as url:
        with Store(url) as store:
            named = RegisteredModel("offers", aliases={"reviewed": 4})
            tags = {"ai_system": "retention_offers"}
            inputs = RecordInputs(version=ModelVersion("offers", 4, tags=tags), model=named)
            seed_bank(store, tenant_declaring(path))
            write_record(store, inputs, day(2))
            store_record(store, "old-notes", 1, day(2), ai_system="Old notes")
            evaluate(tenant_declaring(path), store, day(2))
            store_record(store, "churn", 2, day(3), stage="Production", ai_system="Retention offers")  # no entry yet
        yield url


@pytest.fixture(autouse=True)
def _database(bank_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", bank_url)


def test_each_version_in_use_gets_an_archive_and_the_list_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "audit" / "lending"

    result = runner.invoke(app, ["pack", "acme", "--system", "consumer-lending", "--output", str(folder)])

    assert result.exit_code == 0, result.output
    archives = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(archives) == {"credit-scoring-2.zip", "credit-scoring-3.zip", "fraud-1.zip"}  # version 1 is archived
    assert json_of(files_of(archives["credit-scoring-3.zip"]), "record.json")["version_number"] == 3
    for name, reason in (
        ("credit-scoring-2", "production"),
        ("credit-scoring-3", "staging"),
        ("fraud-1", "production"),
    ):
        line = next(line for line in result.stdout.splitlines() if f"{name}.zip" in line)
        assert f": {name[:-2]} version {name[-1]} ({reason}" in line
        assert sha256(archives[f"{name}.zip"]).hexdigest() in result.stdout
    assert "3 packs of the AI system Consumer lending" in result.stdout


def test_programs_get_a_versioned_document_and_each_archive_the_framework(tmp_path: Path) -> None:
    options = ["--system", "Retention offers", "--framework", "EU AI Act", "--output", str(tmp_path), "--json"]

    document = check_document(runner.invoke(app, ["pack", "acme", *options]).stdout)

    assert document["schema"].endswith("/packs.v1")
    assert [(row["model_name"], row["version_number"], row["in_use_as"]) for row in document["packs"]] == [
        ("churn", 1, ["production", "deployed"]),
        ("offers", 4, ["alias reviewed"]),
    ]
    assert "annex-iv.html" in files_of((tmp_path / "offers-4.zip").read_bytes())


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["acme", "--system", "Consumer lendng"], 3, "'Consumer lending'"),
        (["acne", "--system", "Consumer lending"], 3, "'acme'"),
        (["acme", "fraud", "1", "--system", "Consumer lending"], 2, "leave MODEL and VERSION out"),
        (["acme", "--system", "Consumer lending", "--as-of", "2026-02-01"], 1, "as of 2026-02-01"),
        (["acme", "--system", "Consumer lending", "--framework", "EU AI Akt"], 3, "EU AI Act"),
        (["acme", "fraud"], 2, "name a MODEL and its VERSION, or an AI system"),
        (["acme", "--system", "Old notes"], 1, "no version of the AI system 'Old notes'"),
    ],
)
def test_it_refuses_what_contradicts_or_is_not_there(
    arguments: list[str], exit_code: int, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "never"

    result = runner.invoke(app, ["pack", *arguments, "--output", str(path)])

    assert result.exit_code == exit_code, result.output
    assert said in result.output
    assert not list(path.glob("*"))


def test_a_file_is_no_directory_for_archives(tmp_path: Path) -> None:
    path = tmp_path / "lending.zip"
    path.write_bytes(b"kept")

    result = runner.invoke(app, ["pack", "acme", "--system", "Consumer lending", "--output", str(path)])

    assert result.exit_code == 2
    assert "is a file" in result.output
    assert path.read_bytes() == b"kept"
