"""``verifywise-mlflow frameworks`` with ``--clause``, ``--model`` and ``--version``: the evidence for a clause."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest, FileKind
from verifywise_mlflow.cli import app
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow.persistence.repositories import config_versions
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.evaluation_fixtures import (
    evaluate,
    rule_yaml,
    tenant_with_policies,
    write_policy,
)
from verifywise_mlflow_tests.support.stored_states import NOON, day, write_record

runner = CliRunner(env={"COLUMNS": "80"})

HOUSE = """\
name: House rules
edition: "4"
covers: everything
source: the board
dates: {in-force: {applicable_from: 2026-01-01, source: decision 17}}
clauses:
  - {id: H 1, about: "Models [b]have[/b] a team.", obtainable: declared only, blank: The consent., applies: in-force}
  - {id: H 2, about: Models are tested., obtainable: partly, blank: The quality of tests., confidence: low}
  - {id: H 3, about: Records are kept., obtainable: supports, blank: For how long.}
  - {id: H 4, about: Users are trained., obtainable: not obtainable from MLflow, blank: Everything.}
  - {id: H 5, about: Models have a purpose., obtainable: declared only, blank: Its use.}
"""
SHA256 = "5e" * 32
REPORTS = ArtifactManifest(
    "s3://bucket/fraud",
    "complete",
    None,
    (
        ArtifactFile("model", "model.pkl", 9, "0f" * 32, FileKind.OTHER),
        *(
            ArtifactFile("run", f"eval/report{number:02}.html", 1_234, SHA256, FileKind.EVALUATION)
            for number in range(22)
        ),
    ),
    None,
    None,
)


def house_rule(rule_id: str, requires: str, clause: str) -> str:
    return rule_yaml(rule_id, requires).replace("NIST AI RMF, clause: GOVERN 2.1", f"House rules, clause: {clause}")


@pytest.fixture
def house_store(store: Store, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A tenant with a framework of its own and four versions: shown, failed, with a gap, archived and failed."""
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    monkeypatch.delenv("VERIFYWISE_TENANTS", raising=False)  # the commands must work with the database alone
    for number, stage, owner in (
        (1, "Production", "team-a"),
        (2, "None", "ada"),
        (3, "None", None),
        (4, "Archived", "bob"),
    ):
        version = ModelVersion("fraud", number, stage=stage, tags={"owner": owner} if owner else {})
        write_record(store, RecordInputs(version=version, model=RegisteredModel("fraud"), manifest=REPORTS), NOON)
    evaluate(house_tenant(tmp_path), store, day(1))
    return store


def house_tenant(folder: Path, framework: str = HOUSE) -> Any:
    (folder / "house.yaml").write_text(framework)
    policy = write_policy(
        folder / "policy.yaml",
        house_rule("team", """'owner.startsWith("team-")'""", "H 1"),
        house_rule("tested", "size(evidence_files) > 0", "H 2"),
    )
    return tenant_with_policies(
        default_policy=False, policies=[str(policy)], framework_files=[str(folder / "house.yaml")]
    )


def run(*arguments: str) -> str:
    result = runner.invoke(app, ["frameworks", *arguments])
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    return result.stdout


def run_json(*arguments: str) -> Any:
    result = runner.invoke(app, ["frameworks", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_tenants_own_framework_is_covered_by_its_rules_without_any_file(house_store: Store) -> None:
    (framework,) = run_json("acme", "--framework", "house rules")["frameworks"]

    assert (framework["versions"], framework["archived_versions"]) == (3, 1)
    assert {clause["id"]: (clause["state"], clause["rules"]) for clause in framework["clauses"]} == {
        "H 1": ("declared only", ["team"]),
        "H 2": ("partly", ["tested"]),
        "H 3": ("supports", []),
        "H 4": ("not obtainable from MLflow", []),
        "H 5": ("nothing shown", []),
    }
    text = " ".join(run("acme", "--framework", "House rules").split())
    assert "acme, 3 versions (1 archived left out)" in text
    assert "From 2026-01-01: decision 17; not checked in the official publication." in text


def test_a_clause_leads_to_its_rules_and_to_the_versions_that_show_least_first(house_store: Store) -> None:
    (clause,) = run_json("acme", "--clause", "h1", "--limit", "2")["clauses"]
    text = run("acme", "--clause", "H 1", "--limit", "2")

    assert (clause["framework"], clause["id"], clause["state"]) == ("House rules", "H 1", "declared only")
    assert clause["date_source"] == "decision 17; not checked in the official publication"
    assert [(rule["rule_id"], rule["verdicts"]) for rule in clause["rules"]] == [
        ("team", {"pass": 1, "fail": 1, "not evidenced": 1})
    ]
    worst = [(version["version_number"], version["shows"]) for version in clause["worst_versions"]]
    assert (worst, clause["more_versions"]) == ([(2, "failed"), (3, "not shown")], 1)
    assert [version["verdicts"]["team"]["verdict"] for version in clause["worst_versions"]] == ["fail", "not evidenced"]
    assert text.index("version 2") < text.index("version 3")
    assert "Models [b]have[/b] a team." in text
    assert "fraud version 1" not in text
    assert "... and 1 more, which show" in text


def test_a_clause_and_a_version_lead_to_values_origins_and_hashed_files(house_store: Store) -> None:
    (owned,) = run_json("acme", "--clause", "H 1", "--model", "fraud", "--version", "2")["clauses"]
    text = run("acme", "--clause", "H 2", "--model", "fraud", "--version", "1")
    (tested,) = run_json("acme", "--clause", "H 2", "--model", "fraud", "--version", "1")["clauses"]

    (rule,) = owned["rules"]
    assert (owned["shows"], rule["verdict"], rule["values"], owned["files"]) == ("failed", "fail", {"owner": "ada"}, [])
    assert (rule["origins"]["owner"]["source"], rule["origins"]["owner"]["key"]) == ("version tag", "owner")
    assert len(rule["input_hash"]) == 64
    assert f"sha256 {SHA256}" in text
    assert "model.pkl" not in text
    assert "... and 2 more files: see --json" in text
    assert [file["path"] for file in tested["files"]] == [f"eval/report{number:02}.html" for number in range(22)]


def test_a_version_alone_shows_every_clause_blanks_included(house_store: Store) -> None:
    text = run("acme", "--model", "fraud", "--version", "3", "--framework", "House rules")
    document = run_json("acme", "--model", "fraud", "--version", "3", "--framework", "House rules")

    assert "not evidenced: team" in text
    assert {clause["id"]: clause["shows"] for clause in document["clauses"]} == {
        "H 1": "not shown",
        "H 2": "shown",
        "H 3": "supports",
        "H 4": "not obtainable from MLflow",
        "H 5": "nothing shown",
    }


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--clause", "Art. 6"], 2, "--clause, --model and --version need a tenant"),
        (["acme", "--model", "fraud"], 2, "--model and --version belong together"),
        (["acme", "--clause", "Annex IV(2)"], 3, "the nearest are: Annex IV(2)(a), Annex IV(2)(b),"),
        (
            ["acme", "--clause", "H 9", "--framework", "House rules"],
            3,
            "there is no clause 'H 9' in House rules; the nearest",
        ),
        (
            ["acme", "--model", "fraud", "--version", "9"],
            3,
            "there is no version 9 of 'fraud' of the tenant 'acme'; its versions are 1, 2, 3, 4",
        ),
        (
            ["acme", "--framework", "DORA"],
            3,
            "SR 11-7, House rules. A framework that was added to tenants.yaml appears",
        ),
    ],
)
def test_what_does_not_exist_is_reported_with_what_does(
    house_store: Store, arguments: list[str], code: int, message: str
) -> None:
    result = runner.invoke(app, ["frameworks", *arguments])

    assert (result.exit_code, message in " ".join(result.output.split())) == (code, True), result.output


def test_a_changed_framework_evaluates_again_and_is_recorded(house_store: Store, tmp_path: Path) -> None:
    repeated = evaluate(house_tenant(tmp_path), house_store, day(2))
    changed = house_tenant(tmp_path, HOUSE.replace("The quality of tests.", "Much."))
    sync = evaluate(changed, house_store, day(3))

    assert [run.reports[0].progress.read for run in (repeated, sync)] == [0, 4]
    with house_store.begin("acme") as session:
        recorded = config_versions.config_version(session, "policy")
    assert recorded is not None
    assert recorded.sync_id == sync.sync_id
    assert run_json("acme", "--clause", "H 2")["clauses"][0]["blank"] == "Much."
