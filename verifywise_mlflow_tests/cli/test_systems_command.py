"""``systems`` lists AI systems for people, programs and spreadsheets, and keeps declarations separate from evidence."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.declared_systems import LENDING, seed_bank, tenant_declaring, write_ai_systems
from verifywise_mlflow_tests.support.json_documents import check_document
from verifywise_mlflow_tests.support.terminal_width import set_terminal_width

runner = CliRunner()
HOSTILE: Final = "x$(touch /tmp/x) 'y'"
DECLARED_HOSTILE: Final = f"""
  - name: "{HOSTILE}"
    declared_by: M. Okafor
    declared_on: 2026-01-20
"""


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal_width(monkeypatch, 200)


@pytest.fixture(scope="module")
def bank_url(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = write_ai_systems(tmp_path_factory.mktemp("bank") / "ai_systems.yaml", LENDING, DECLARED_HOSTILE)
    with migrated_database(postgres) as url:
        with Store(url) as store:
            seed_bank(store, tenant_declaring(path))
        yield url


@pytest.fixture
def bank(bank_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", bank_url)
    return bank_url


def run(*arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, ["systems", *arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.usefixtures("bank")
def test_the_list_shows_declared_facts_with_their_author_and_contradictions() -> None:
    output = run("acme")

    assert "Consumer lending" in output
    assert "risk high; review overdue since 2026-02-15; by M. Okafor, 2026-01-20" in output
    assert (
        "Contradiction in Consumer lending: the risk category is declared as high; in MLflow, it is limited" in output
    )
    assert "The declaration of Consumer lending names gone-model, which no model matches" in output
    assert "2 models without a system: notes, orphan" in output


@pytest.mark.usefixtures("bank")
def test_a_version_shows_the_system_that_a_declaration_assigns_and_the_one_that_its_tag_names() -> None:
    by_model = {
        model: [
            " ".join(line.split()) for line in runner.invoke(app, ["show", "acme", model, version]).stdout.splitlines()
        ]
        for model, version in (("credit-scoring", "3"), ("fraud", "1"))
    }
    details = runner.invoke(app, ["show", "acme", "credit-scoring", "3", "--all"]).stdout

    declared = "ai system Consumer lending declared by M. Okafor on 2026-01-20"
    assert [line for line in by_model["credit-scoring"] if line.startswith("ai system")] == [declared]
    assert [line for line in by_model["fraud"] if "declared by" in line or "Payments" in line] == [
        declared,
        "ai system Payments version tag ai_system",
    ]
    assert "AI system: Consumer lending, declared by M. Okafor on 2026-01-20" in details


@pytest.mark.usefixtures("bank")
def test_one_system_is_shown_in_detail_in_any_spelling() -> None:
    output = run("acme", "consumer-lending")

    assert "Declared by M. Okafor on 2026-01-20; no evidence:" in output
    assert "Annex III, point 5(b)" in output
    assert "All versions that are in production or deployed at least in part count" in " ".join(output.split())
    assert "https://documents.acme.example/risk, version 3 (EU AI Act Annex IV(5))" in output
    assert "2026-03-01 12:00:00 UTC: as declared by M. Okafor" in output


@pytest.mark.usefixtures("bank")
def test_the_printed_command_names_a_hostile_system_as_one_argument() -> None:
    command = run("acme", HOSTILE).partition("The gaps one by one: ")[2].strip()

    printed = ["sh", "-c", command.replace("verifywise-mlflow", "printf '%s\\n'", 1)]
    said = subprocess.run(printed, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == ["gaps", "acme", "--system", HOSTILE]


@pytest.mark.usefixtures("bank")
def test_programs_get_versioned_documents() -> None:
    listed = check_document(run("acme", "--json"))
    one = check_document(run("acme", "Consumer lending", "--json"))

    assert listed["schema"].endswith("systems.v1")
    assert [row["system"] for row in listed["systems"]] == ["Consumer lending", "Retention offers", HOSTILE]
    assert listed["models_without_system"] == ["notes", "orphan"]
    assert one["schema"].endswith("system.v1")
    assert one["system"] == listed["systems"][0]
    assert [(row["model_name"], row["versions_in_use"]) for row in one["models"]] == [
        ("credit-scoring", [3, 2]),
        ("fraud", [1]),
    ]
    assert one["documents"][0]["clauses"] == ["EU AI Act Annex IV(5)"]
    assert one["history"][0]["declared"] == one["system"]["declared"]


@pytest.mark.usefixtures("bank")
def test_a_spreadsheet_has_a_row_for_each_system(tmp_path: Path) -> None:
    path = tmp_path / "systems.csv"

    run("acme", "--output", str(path))

    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["system"], row["declared_risk_category"]) for row in rows] == [
        ("Consumer lending", "high"),
        ("Retention offers", ""),
        (HOSTILE, ""),
    ]


@pytest.mark.usefixtures("bank")
def test_an_unknown_system_gets_a_suggestion() -> None:
    assert "Did you mean 'Consumer lending'?" in run("acme", "Consumer lendng", code=3)
    assert "no tenant" in run("acmee", code=3)
