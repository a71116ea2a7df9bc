"""Generate the tables of docs/reference/cli.md from the command line itself.

``python -m verifywise_mlflow_tests.cli.command_help_page`` writes them into the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from verifywise_mlflow.cli.app import all_commands
from verifywise_mlflow.cli.command_catalog import EXIT_CODES, HELP
from verifywise_mlflow_tests.support.documentation import write_generated_part

PAGE = "reference/cli.md"


def commands() -> Iterator[str]:
    """Yield a row for each command, in the order of the help."""
    yield "| command | what it does | requires | changes | for programs | also exits with 1 if | example |"
    yield "|---|---|---|---|---|---|---|"
    for path, command in all_commands():
        entry = HELP[path]
        has_json = any("--json" in option.opts for option in command.params)
        summary = (command.help or "").split("\n")[0].rstrip(".")
        row = (
            f"`{path}`",
            summary,
            entry.needs,
            entry.changes or "nothing",
            "`--json`" if has_json else entry.program_output,
            entry.failure,
            f"`{path} {entry.example}`".replace(" `", "`"),
        )
        yield f"| {' | '.join(row)} |"


def exit_codes() -> Iterator[str]:
    """Yield a row for each exit code."""
    yield "| exit code | means |"
    yield "|---|---|"
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())


PARTS: Mapping[str, Callable[[], Iterator[str]]] = {"commands": commands, "exit codes": exit_codes}

if __name__ == "__main__":
    for name, lines in PARTS.items():
        write_generated_part(PAGE, name, lines())
