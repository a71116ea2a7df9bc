"""Each command of the guide for officers and auditors prints the lines that the guide shows."""

from __future__ import annotations

import re
import shlex

import pytest
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow_tests.support.documentation import code_blocks, commands, read_page
from verifywise_mlflow_tests.support.read_side_bank import Bank
from verifywise_mlflow_tests.support.terminal_width import set_terminal_width

SECTIONS = re.split(r"^## ", read_page("how-to/fifteen-questions.md"), flags=re.MULTILINE)[1:]
WIDTH = 130
"""Columns of the page's excerpts."""

runner = CliRunner()


@pytest.fixture(autouse=True)
def _fixed_width(monkeypatch: pytest.MonkeyPatch) -> None:
    set_terminal_width(monkeypatch, WIDTH)


def comparable(text: str) -> list[str]:
    """Return the lines of a text with one space between words, and without times, which differ each day."""
    without_times = re.sub(r"\d{4}-\d{2}-\d{2}(?:[ T][\d:.]+)?", "#", text)
    return [" ".join(line.split()) for line in without_times.splitlines()]


def test_there_are_fifteen() -> None:
    assert [section.partition(".")[0] for section in SECTIONS] == [str(number) for number in range(1, 16)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: str(section.partition("?")[0]))
def test_one_command_prints_the_lines_of_the_page(synced_bank: Bank, section: str) -> None:
    (command,) = commands(section)
    (excerpt,) = code_blocks(section, "text")

    result = runner.invoke(app, shlex.split(command)[1:])

    assert result.exit_code == 0, result.output
    printed = comparable(result.stdout)
    assert [line for line in comparable(excerpt) if line not in printed] == []
