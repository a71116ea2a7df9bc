"""The help teaches, and docs/cli.md says the same."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.app import commands_of
from verifywise_mlflow.cli.guide import GUIDES
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.cli.guide_page import PAGE, PARTS
from verifywise_mlflow_tests.compliance.pages import between
from verifywise_mlflow_tests.persistence.test_trail import append, entry

ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
COMMANDS = dict(commands_of(ROOT))


def test_each_command_has_a_guide_and_each_guide_a_command() -> None:
    assert sorted(COMMANDS) == sorted(GUIDES), "say in verifywise_mlflow/cli/guide.py how the command is used"


@pytest.mark.parametrize(("name", "lines"), PARTS.items())
def test_the_page_holds_what_the_command_line_says(name: str, lines: Callable[[], Iterator[str]]) -> None:
    held = between(PAGE.read_text(encoding="utf-8"), name)
    assert held == "\n".join(lines()), "python -m verifywise_mlflow_tests.cli.guide_page writes it anew"


@pytest.mark.parametrize("path", COMMANDS)
def test_each_example_is_one_that_the_command_takes(path: str) -> None:
    command = COMMANDS[path]
    command.make_context(path, shlex.split(GUIDES[path].example))


@pytest.mark.parametrize("path", COMMANDS)
def test_each_command_gives_programs_something_to_read(path: str) -> None:
    has_json = any("--json" in option.opts for option in COMMANDS[path].params)
    assert has_json != bool(GUIDES[path].written)


def test_the_help_ends_with_the_example_and_the_exit_codes() -> None:
    told = " ".join(CliRunner().invoke(app, ["audit", "verify", "--help"]).output.split())
    assert "Example: verifywise-mlflow audit verify acme --public-key public.pem" in told
    assert "Exit codes: 0 done; 1 the chain is damaged; 2 wrong use." in told


def test_who_stops_reading_gets_no_complaint_and_a_code_that_says_so(store: Store, database_url: str) -> None:
    append(store, *(entry(number, "why " * 200) for number in range(200)))  # more than a pipe holds
    command = [sys.executable, "-m", "verifywise_mlflow.cli", "audit", "export", "acme"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"VERIFYWISE_DATABASE_URL": database_url},
    ) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        assert export.stdout.readline().startswith(b"{")
        export.stdout.close()
        complaint = export.stderr.read()
    assert (export.returncode, complaint) == (141, b"")


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
