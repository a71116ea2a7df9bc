"""A misspelled name leads to the same exit code in all commands, and the error suggests names that exist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.app import all_commands
from verifywise_mlflow.cli.command_catalog import HELP, MISUSED, UNRESOLVED
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow_tests.support.credit_tenant import MODEL, CreditTenant, write_tenants_file
from verifywise_mlflow_tests.support.login_roles import login_role, new_name
from verifywise_mlflow_tests.support.stored_states import day


@pytest.fixture(autouse=True)
def _environment(acme: CreditTenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", acme.url)
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(write_tenants_file(tmp_path)))


WAIVER = ["--approver", "Ada", "--reason", "A pilot.", "--expires", "2099-01-01"]
TENANT_LAST = {
    "policy waive": ["acne", "owner", MODEL, *WAIVER],
    "policy rule": ["acne", "owner"],
    "policy explain": ["acne", MODEL, "3", "owner"],
    "policy unwaive": ["acne", "1"],
    "tenants erase": ["acne", "--yes"],
    "diff": ["acne", "--from", "2026-03-01"],
    "compare": ["acne", MODEL, "3", "4"],
    "show": ["acne", MODEL, "3"],
    "history": ["acne", MODEL, "champion"],
    "manifest": ["acne", MODEL, "3"],
    "badge": ["acne", MODEL],
    "mapping": ["acne", "owner"],
    "pack": ["acne", MODEL, "3", "--output", "absent/pack.zip"],
    "audit prove": ["acne", MODEL, "3"],
    "audit accept-states": ["acne", "--reason", "tested"],
    "export": ["acne", "absent"],
    "report": ["acne", "--output", "absent"],
}
"""The arguments of commands that need more than a tenant."""
NEED_SETTINGS = ("audit checkpoint", "audit rotate-key", "audit witness")
NAMING = [path for path, _ in all_commands() if HELP[path].names_objects and path not in NEED_SETTINGS]


@pytest.mark.parametrize("path", NAMING)
def test_a_misspelled_tenant_is_suggested_by_every_command(path: str) -> None:
    result = CliRunner().invoke(app, [*path.split(), *TENANT_LAST.get(path, ["acne"])])

    assert result.exit_code == UNRESOLVED, result.output
    assert "Did you mean 'acme'?" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "suggested"),
    [
        (["show", "acme", "credit defaults risk", "3"], MODEL),
        (["history", "acme", "credit", "3"], MODEL),
        (["badge", "acme", "chrun"], "churn"),
        (["manifest", "acme", "chrun", "1"], "churn"),
        (["events", "acme", "chrun"], "churn"),
        (["diff", "acme", "chrun", "--from", "2026-03-01"], "churn"),
        (["show", "acme", MODEL, "champoin"], "champion"),
        (["badge", "acme", MODEL, "@chalengger"], "challenger"),
        (["policy", "explain", "acme", MODEL, "3", "ownr"], "owner"),
        (["policy", "rule", "acme", "dataset-referense"], "dataset-reference"),
        (["policy", "waive", "acme", "dataset-referense", MODEL, *WAIVER], "dataset-reference"),
        (["frameworks", "acme", "--framework", "EU AI Akt"], "EU AI Act"),
        (["mapping", "acme", "ownr"], "owner"),
    ],
)
def test_misspelled_models_aliases_rules_and_frameworks_are_suggested(arguments: list[str], suggested: str) -> None:
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == UNRESOLVED, result.output
    assert f"'{suggested}'" in " ".join(result.stderr.split()).partition("Did you mean ")[2]


def test_an_unlike_name_of_a_tenant_gets_the_list_of_tenants() -> None:
    for path in NAMING:
        command = [*path.split(), *TENANT_LAST.get(path, ["acne"])]
        result = CliRunner().invoke(app, ["nosuch" if word == "acne" else word for word in command])
        assert " are: acme" in " ".join(result.stderr.replace("'", "").split()), path


def test_a_program_gets_the_suggestion_as_json() -> None:
    result = CliRunner().invoke(app, ["show", "acme", MODEL, "champoin", "--json"])

    assert result.exit_code == UNRESOLVED
    assert "Did you mean 'champion'?" in json.loads(result.stdout)["error"]


def test_a_word_that_is_none_of_the_choices_is_refused_without_the_words_of_a_library() -> None:
    result = CliRunner().invoke(app, ["gaps", "acme", "--by", "nothing"])

    assert result.exit_code == MISUSED
    refusal = " ".join(result.output.replace("│", "").split())
    assert "Invalid value for '--by': 'nothing' is not one of 'owner', 'severity'" in refusal


def test_a_reader_gets_no_name_of_another_tenant(acme: CreditTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    with login_role(acme.url, new_name("reader")) as reader:
        with acme.store.begin_shared() as connection:
            role_grants.grant(connection, reader.name, "reader", "globex", day(1))
        monkeypatch.setenv("VERIFYWISE_DATABASE_URL", reader.url)
        result = CliRunner().invoke(app, ["show", "acne", MODEL, "3"])

    assert result.exit_code == UNRESOLVED
    assert "or the role in use may not read it" in " ".join(result.stderr.split())
    assert "acme" not in result.output
