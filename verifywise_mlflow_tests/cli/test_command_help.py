"""The help teaches, and docs/cli.md says the same."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.app import commands_of
from verifywise_mlflow.cli.command_help import GUIDES
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.cli.command_help_page import PAGE, PARTS
from verifywise_mlflow_tests.compliance.pages import between

ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
COMMANDS = dict(commands_of(ROOT))


def test_each_command_has_a_guide_and_each_guide_a_command() -> None:
    assert sorted(COMMANDS) == sorted(GUIDES), "say in verifywise_mlflow/cli/command_help.py how the command is used"


@pytest.mark.parametrize(("name", "lines"), PARTS.items())
def test_the_page_holds_what_the_command_line_says(name: str, lines: Callable[[], Iterator[str]]) -> None:
    held = between(PAGE.read_text(encoding="utf-8"), name)
    assert held == "\n".join(lines()), "python -m verifywise_mlflow_tests.cli.command_help_page writes it anew"


@pytest.mark.parametrize("path", COMMANDS)
def test_each_example_is_one_that_the_command_takes(path: str) -> None:
    command = COMMANDS[path]
    command.make_context(path, shlex.split(GUIDES[path].example))


@pytest.mark.parametrize("path", COMMANDS)
def test_each_command_gives_programs_something_to_read(path: str) -> None:
    has_json = any("--json" in option.opts for option in COMMANDS[path].params)
    assert has_json != bool(GUIDES[path].written)


NEEDED = {"tenants.yaml": (2, "VERIFYWISE_TENANTS"), "the database": (1, "VERIFYWISE_DATABASE_URL")}
TRIED = [path for path in COMMANDS if path not in ("demo", "audit new-key", "policy check", "audit verify")]


@pytest.mark.parametrize("path", TRIED)
def test_what_a_command_needs_is_what_it_asks_for(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERIFYWISE_AUDIT_SIGNING_KEY", raising=False)
    done = CliRunner().invoke(app, shlex.split(f"{path} {GUIDES[path].example}"))
    missing = next((NEEDED[one] for one in NEEDED if GUIDES[path].needs.startswith(one)), None)
    if path == "audit checkpoint":
        missing = (2, "VERIFYWISE_AUDIT_SIGNING_KEY")  # which it asks for first
    assert missing is not None
    assert (done.exit_code, missing[1] in done.output) == (missing[0], True), done.output


def test_the_help_ends_with_the_example_and_the_exit_codes() -> None:
    told = " ".join(CliRunner().invoke(app, ["audit", "verify", "--help"]).output.split())
    assert "Example: verifywise-mlflow audit verify acme --public-key public.pem" in told
    assert "Needs the database. Changes nothing." in told
    assert "Exit codes: 0 done; 1 the chain is damaged, or there is none; 2 wrong use." in told


def test_nobody_who_is_not_let_in_is_told_of_syncs(
    store: Store, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = database_url.rindex("@")
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", f"postgresql://nobody:wrong{database_url[at:]}")
    done = CliRunner().invoke(app, ["db", "roles"])
    assert done.exit_code == 1
    assert "sync" not in done.stderr
    assert "See VERIFYWISE_DATABASE_URL" in done.stderr


def test_a_demo_that_cannot_have_its_folder_says_so() -> None:
    done = CliRunner().invoke(app, ["demo", "--home", "/proc/nobody/demo"])
    assert done.exit_code == 1
    assert "/proc/nobody" in done.stderr
    assert done.exception is None or isinstance(done.exception, SystemExit)
