"""The command line itself, to which each command adds itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from verifywise_mlflow.cli.command_help import EXIT_CODES, GUIDES, ORDER
from verifywise_mlflow.cli.exit_handling import orderly


class _Guided(TyperGroup):
    """Lists commands in the order in which they are needed, and ends the help of each with its guide."""

    def __init__(self, **settings: Any) -> None:  # Any: click's own settings, handed on
        super().__init__(**settings)
        self.commands = dict(sorted(self.commands.items(), key=lambda named: _place(named[0])))
        for path, command in commands_of(self):
            if guide := GUIDES.get(path):
                command.epilog = guide.epilog(path)

    def make_context(self, *words: Any, **settings: Any) -> Any:  # click's own, handed on
        """Read the command line; --help is printed here."""
        with orderly():
            return super().make_context(*words, **settings)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # click's class, which typer hides
        """Run the command."""
        with orderly():
            return super().invoke(ctx)


def commands_of(group: TyperGroup, path: str = "") -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    """Yield every command that can be run with the words that name it."""
    for name, command in group.commands.items():
        words = f"{path} {name}".strip()
        if isinstance(command, TyperGroup):
            yield from commands_of(command, words)
        if isinstance(command, TyperCommand) or getattr(command, "invoke_without_command", False):
            assert isinstance(command, TyperCommand | TyperGroup)
            yield words, command


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)


app = typer.Typer(
    cls=_Guided,
    help="\n\n".join(
        (
            "Reads tenants' MLflow registries, keeps one canonical record per model version, and judges it.",
            "To begin: demo shows all of it at work. For your own servers write tenants.yaml; then tenants, check, "
            "db upgrade, sync. The other commands ask what is known: they read the database alone.",
            "Two environment variables say where: VERIFYWISE_TENANTS is the path of tenants.yaml, "
            "VERIFYWISE_DATABASE_URL the Postgres database.",
            f"Exit codes: {'; '.join(f'{code} {meaning}' for code, meaning in EXIT_CODES.items())}.",
        )
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
