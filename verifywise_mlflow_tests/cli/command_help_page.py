"""Generate the tables of docs/reference/cli.md from the command line itself.

``python -m verifywise_mlflow_tests.cli.command_help_page`` writes them into the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from typer.core import TyperCommand, TyperGroup

from verifywise_mlflow.cli.app import all_commands
from verifywise_mlflow.cli.command_catalog import EXIT_CODES, HELP
from verifywise_mlflow_tests.support.documentation import write_generated_part

PAGE = "reference/cli.md"
GROUPS: Mapping[str, Sequence[str]] = {
    "Set up and sync": ("demo", "tenants", "check", "webhooks", "db", "sync", "worker"),
    "Models, versions and gaps": (
        *("inventory", "gaps", "show", "history", "diff", "events", "compare", "systems", "lineage"),
        *("prompts", "agents", "frameworks", "tags", "mapping"),
    ),
    "Policies and waivers": ("policy",),
    "Documents and exports": ("report", "pack", "manifest", "badge", "export"),
    "Audit trail": ("audit",),
    "Deliveries": ("deliver",),
    "Operation": ("doctor", "metrics", "listen"),
}
"""The sections of the page with their commands. A section keeps the order of the help."""


def commands() -> Iterator[str]:
    """Yield a section with a table for each group of commands, in the order of the help."""
    by_group: dict[str, list[tuple[str, TyperCommand | TyperGroup]]] = {group: [] for group in GROUPS}
    group_of = {name: group for group, names in GROUPS.items() for name in names}
    for path, command in all_commands():
        by_group[group_of[path.split()[0]]].append((path, command))
    for group, listed in by_group.items():
        yield from (f"### {group}", "", "| command | what it does | requires | changes |", "|---|---|---|---|")
        for path, command in listed:
            entry = HELP[path]
            about = [(command.help or "").split("\n")[0].rstrip(".") + "."]
            if entry.failure:
                about.append(f"Also exits with 1 if {entry.failure}.")
            about.append(f"Example: `{path} {entry.example}".rstrip() + "`")
            yield f"| `{path}` | {'<br>'.join(about)} | {_breakable(entry.needs)} | {entry.changes or 'nothing'} |"
        yield ""


def _breakable(text: str) -> str:
    """Return a text in which names of variables may break over lines, since some are wider than their column."""
    return re.sub(r"(?<=[A-Z])_(?=[A-Z])", "_<wbr>", text)


def program_outputs() -> Iterator[str]:
    """Yield a row for each command without ``--json``."""
    yield "| command | prints |"
    yield "|---|---|"
    outputs = ((path, HELP[path].program_output) for path, _ in all_commands())
    yield from (f"| `{path}` | {output} |" for path, output in outputs if output)


def exit_codes() -> Iterator[str]:
    """Yield a row for each exit code."""
    yield "| exit code | means |"
    yield "|---|---|"
    yield from (f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items())


PARTS: Mapping[str, Callable[[], Iterator[str]]] = {
    "commands": commands,
    "program outputs": program_outputs,
    "exit codes": exit_codes,
}

if __name__ == "__main__":
    for name, lines in PARTS.items():
        write_generated_part(PAGE, name, lines())
