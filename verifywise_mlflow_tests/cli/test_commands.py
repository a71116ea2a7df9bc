"""The command line, as a person and as a program use it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry
from verifywise_mlflow_tests.support.syncing import rows

runner = CliRunner()


def test_sync_prints_a_table_for_people(registry: Registry, tenants_file: Path, store: Store) -> None:
    registry.version("churn [bold]model", tags={"owner": "ada"})

    result = runner.invoke(app, ["sync", "acme"])

    assert result.exit_code == 0, result.output
    assert "acme: 1 models, 1 versions" in result.output
    assert len(rows(store, "canonical_records")) == 1


def test_sync_prints_one_json_object_for_programs(registry: Registry, tenants_file: Path) -> None:
    registry.version("churn")

    result = runner.invoke(app, ["sync", "acme", "--json"])

    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert (output["tenant"], output["models"], output["versions"]) == ("acme", 1, 1)
    assert output["stages"]["model_versions"]["read"] == 1
    assert len(output["urgent_gaps"]) == 5
    assert {(gap["model_name"], gap["lifecycle_stage"]) for gap in output["urgent_gaps"]} == {("churn", None)}


def test_sync_reads_what_is_named_and_leaves_the_others(registry: Registry, tenants_file: Path, store: Store) -> None:
    for model in ("churn", "fraud"):
        registry.version(model)

    first = runner.invoke(app, ["sync", "acme", "--only", "churn"])
    for model in ("churn", "fraud"):
        registry.client.set_model_version_tag(model, "1", "owner", "ada")
    named = runner.invoke(
        app, ["sync", "acme", "--only", "churn/1", "--only", "fraud/0", "--only", "2024/7/1", "--json"]
    )
    owners = [row["owner"] for row in rows(store, "canonical_records")]
    with store.begin("acme") as session:
        change_hints.record(session, [HintedObject(ObjectKind.MODEL, "fraud", 1)], datetime.now(UTC))
    hinted = runner.invoke(app, ["sync", "acme", "--hints", "--json"])

    assert "The whole registry is read" in first.output, "the first sync of a tenant"
    assert named.exit_code == 0, named.output
    assert json.loads(named.stdout)["stages"]["registered_models"]["read"] == 1
    assert owners == ["ada", None]
    assert hinted.exit_code == 0, hinted.output
    assert [row["owner"] for row in rows(store, "canonical_records")] == ["ada", "ada"]
    assert rows(store, "change_hints") == []


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["sync", "acme", "--only", "churn", "--reconcile"], 2, "leave everything else to later syncs"),
        (["sync", "acme", "--only", "churn", "--hints"], 2, "either --only or --hints"),
        (["sync", "acme", "--only", " /3"], 2, "characters, which no page can show"),
        (["sync", "globex"], 3, "tenants.yaml has no tenant 'globex'; its tenants are: acme"),
        (["sync", "acne"], 3, "Did you mean 'acme'?"),
        (["sync", "down"], 1, "127.0.0.1"),
        (["sync", "locked"], 2, "ABSENT_PASSWORD"),
    ],
)
def test_errors_are_sentences_with_an_exit_code(
    arguments: list[str], exit_code: int, sentence: str, tenants_file: Path
) -> None:
    with tenants_file.open("a") as file:
        file.write("  down: {tracking_uri: 'http://127.0.0.1:9', allow_private_network: true}\n")
        file.write("  locked: {tracking_uri: 'http://127.0.0.1:9', allow_private_network: true,\n")
        file.write("    auth: {kind: basic, username: ada, password: 'env:ABSENT_PASSWORD'}}\n")

    result = runner.invoke(app, arguments)

    assert result.exit_code == exit_code
    assert sentence in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_without_configuration_the_error_names_the_variable() -> None:
    result = runner.invoke(app, ["sync", "acme"])

    assert result.exit_code == 2
    assert "VERIFYWISE_TENANTS" in result.output


def test_check_prints_the_server_and_what_is_readable(registry: Registry, tenants_file: Path) -> None:
    registry.trained_version("churn")

    result = runner.invoke(app, ["check", "acme", "--json"])
    table = runner.invoke(app, ["check", "acme"])

    output = json.loads(result.stdout)
    assert (result.exit_code, table.exit_code) == (0, 0), result.output
    assert output["server"]["version"].startswith("3.")
    assert (output["models"], output["versions"], output["experiments"]) == (1, 1, 1)
    assert {attempt["what"]: attempt["outcome"] for attempt in output["tried"]} == {
        "registered models": "readable",
        "model versions": "readable",
        "experiments": "readable",
        "training runs": "readable",
        "artifacts": "readable",
        "prompts": "nothing there",
        "agents": "nothing there",
        "evaluation data sets": "nothing there",
        "traces": "nothing there",
    }
    assert output["requests"] <= 13
    assert "with workspaces and logged models; authenticated as none" in table.output
    assert "1 of the 1 newest that versions name" in table.output


def test_check_distinguishes_an_empty_registry_from_a_forbidden_one_as_far_as_mlflow_does(tenants_file: Path) -> None:
    result = runner.invoke(app, ["check", "acme", "--json"])

    attempt = json.loads(result.stdout)["tried"][0]
    assert result.exit_code == 0
    assert attempt["outcome"] == "nothing there"
    assert attempt["mend"] == "if the server has some, grant READ on the registered models and on prompts"


def test_check_reports_a_deleted_run(registry: Registry, tenants_file: Path) -> None:
    registry.version("churn", run_id="f" * 32)

    result = runner.invoke(app, ["check", "acme", "--json"])

    attempts_by_target = {attempt["what"]: attempt for attempt in json.loads(result.stdout)["tried"]}
    assert result.exit_code == 0
    assert attempts_by_target["training runs"]["outcome"] == "nothing there"
    assert "ffffffff" in attempts_by_target["training runs"]["found"]


def test_upgrade_creates_the_schema(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", empty_database_url)

    result = runner.invoke(app, ["db", "upgrade"])

    assert result.exit_code == 0, result.output
    assert re.search(r"at revision 0\d{3}\.", result.output)


def test_manifest_prints_the_statement_to_sign(registry: Registry, tenants_file: Path) -> None:
    registry.trained_version("churn")
    before = runner.invoke(app, ["manifest", "acme", "churn", "1"])
    runner.invoke(app, ["sync", "acme"])

    result = runner.invoke(app, ["manifest", "acme", "churn", "1"])
    without_manifest = runner.invoke(app, ["manifest", "acme", "churn", "2"])

    statement = json.loads(result.stdout)
    assert (before.exit_code, result.exit_code, without_manifest.exit_code) == (3, 0, 3)
    assert "the database has no tenant 'acme'" in before.output
    assert "there is no version 2 of 'churn'" in without_manifest.output
    assert {entry["name"] for entry in statement["predicate"]["resources"]} == set(MODEL_FILES)
