"""The help is complete, and docs/reference/cli.md says the same."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.app import all_commands, load
from verifywise_mlflow.cli.command_catalog import COMMANDS as SUMMARIES
from verifywise_mlflow.cli.command_catalog import HELP
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.cli.command_help_page import PAGE, PARTS
from verifywise_mlflow_tests.support.documentation import generated_part, read_page

COMMANDS = dict(all_commands())


def test_every_command_has_a_help_entry_and_every_entry_a_command() -> None:
    assert sorted(COMMANDS) == sorted(HELP), "add the command to verifywise_mlflow/cli/command_catalog.py"


@pytest.mark.parametrize(("name", "summary"), SUMMARIES.items())
def test_the_summary_in_the_list_is_the_first_line_of_the_command_s_own_help(name: str, summary: str) -> None:
    assert (load(name).help or "").split("\n")[0] == summary


def test_no_command_offers_a_completion_that_the_program_does_not_have() -> None:
    options = {option for name in SUMMARIES for parameter in load(name).params for option in parameter.opts}
    assert {option for option in options if "completion" in option} == set()


@pytest.mark.parametrize(("name", "lines"), PARTS.items())
def test_the_reference_page_equals_the_command_line(name: str, lines: Callable[[], Iterator[str]]) -> None:
    text = generated_part(read_page(PAGE), name)
    assert text == "\n".join(lines()), "python -m verifywise_mlflow_tests.cli.command_help_page regenerates it"


@pytest.mark.parametrize("path", COMMANDS)
def test_each_example_is_accepted_by_its_command(path: str) -> None:
    command = COMMANDS[path]
    command.make_context(path, shlex.split(HELP[path].example))


@pytest.mark.parametrize("path", COMMANDS)
def test_each_command_has_output_for_programs(path: str) -> None:
    has_json = any("--json" in option.opts for option in COMMANDS[path].params)
    assert has_json != bool(HELP[path].program_output)


@pytest.mark.parametrize("path", COMMANDS)
def test_each_command_that_takes_a_name_has_the_exit_code_of_unknown_names(path: str) -> None:
    arguments = {parameter.name for parameter in COMMANDS[path].params if parameter.param_type_name == "argument"}
    assert HELP[path].names_objects == bool(arguments & {"tenant", "tenants"})


REQUIREMENTS = {"tenants.yaml": (2, "VERIFYWISE_TENANTS"), "the database": (1, "VERIFYWISE_DATABASE_URL")}
NEED_FILES = ("demo", "demo live", "audit new-key", "audit timestamps", "audit verify", "policy check")
RUNNABLE = [path for path in COMMANDS if path not in NEED_FILES]


@pytest.mark.parametrize("path", RUNNABLE)
def test_a_command_without_its_requirements_names_them(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERIFYWISE_AUDIT_SIGNING_KEY", raising=False)
    result = CliRunner().invoke(app, shlex.split(f"{path} {HELP[path].example}"))
    missing = next(
        (REQUIREMENTS[requirement] for requirement in REQUIREMENTS if HELP[path].needs.startswith(requirement)), None
    )
    if path in ("audit checkpoint", "audit public-key", "audit rotate-key"):
        missing = (2, "VERIFYWISE_AUDIT_SIGNING_KEY")  # which it requires first
    if path == "audit witness":
        missing = (2, "VERIFYWISE_AUDIT_WITNESSES")
    assert missing is not None
    assert (result.exit_code, missing[1] in result.output) == (missing[0], True), result.output


def test_help_ends_with_the_example_and_the_exit_codes() -> None:
    output = " ".join(CliRunner().invoke(app, ["audit", "verify", "--help"]).output.split())
    assert "Example: verifywise-mlflow audit verify acme --public-key public.pem" in output
    assert "Needs the database. Changes nothing." in output
    assert "Exit codes: 0 success; 1 the chain or, with --records, a row is damaged, or" in output
    assert "; 2 invalid use; 3 an unknown or ambiguous name; 4 there is no damage, but not everything is" in output


def test_a_role_without_access_learns_nothing_of_syncs(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = database_url.rindex("@")
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", f"postgresql://nobody:wrong{database_url[at:]}")
    result = CliRunner().invoke(app, ["db", "roles"])
    assert result.exit_code == 1
    assert "sync" not in result.stderr
    assert "Correct VERIFYWISE_DATABASE_URL" in result.stderr


def test_a_demo_whose_folder_cannot_be_created_says_so() -> None:
    result = CliRunner().invoke(app, ["demo", "--home", "/proc/nobody/demo"])
    assert result.exit_code == 1
    assert "/proc/nobody" in result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)
