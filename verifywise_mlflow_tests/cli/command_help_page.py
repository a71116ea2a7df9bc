"""The tables of docs/cli.md, made from the command line itself.

``python -m verifywise_mlflow_tests.cli.command_help_page`` writes them into the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import typer
from typer.core import TyperGroup

from verifywise_mlflow.cli import app
from verifywise_mlflow.cli.app import commands_of
from verifywise_mlflow.cli.command_help import EXIT_CODES, GUIDES
from verifywise_mlflow_tests.compliance.pages import DOCS, between

PAGE = DOCS / "cli.md"


def commands() -> Iterator[str]:
    """Yield a row for each command, in the order of the help."""
    yield "| command | what it does | needs | changes | for programs | ends with 1 also where | for example |"
    yield "|---|---|---|---|---|---|---|"
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    for path, command in commands_of(root):
        guide = GUIDES[path]
        has_json = any("--json" in option.opts for option in command.params)
        does = (command.help or "").split("\n")[0].rstrip(".")
        row = (
            f"`{path}`",
            does,
            guide.needs,
            guide.writes or "nothing",
            "`--json`" if has_json else guide.written,
            guide.failed,
            f"`{path} {guide.example}`".replace(" `", "`"),
        )
        yield f"| {' | '.join(row)} |"


def exit_codes() -> Iterator[str]:
    """Yield a row for each exit code."""
    yield "| exit code | means |"
    yield "|---|---|"
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())


PARTS: Mapping[str, Callable[[], Iterator[str]]] = {"commands": commands, "exit codes": exit_codes}

if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in PARTS.items():
        first, last = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        page = page.replace(first + between(page, name) + last, first + "\n".join(lines()) + last)
    PAGE.write_text(page, encoding="utf-8")
