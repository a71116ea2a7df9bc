"""The root command. It lists every command and imports a command's module only when that command runs.

Importing all modules takes two seconds, for SQLAlchemy, pydantic and the pipeline. ``--help`` needs none of these
modules.
"""

from __future__ import annotations

import atexit
import gc
import os
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from verifywise_mlflow.cli.command_catalog import COMMANDS, EXIT_CODES, HELP
from verifywise_mlflow.cli.exit_handling import clean_exit

# Pydantic would search the metadata of all installed packages for its plugins. No command needs one.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

# At exit, Python collects all garbage, which is useless and takes a fifth of the time of a short command.
atexit.register(gc.freeze)


_COMPLETION_OPTIONS = ("install_completion", "show_completion")


class LazyGroup(TyperGroup):
    """Holds a placeholder for each command until the command is run; appends each command's epilog to its help."""

    def __init__(self, **settings: Any) -> None:  # Any: click's own settings, passed on
        super().__init__(**settings)
        self.commands = {name: TyperCommand(name, help=summary) for name, summary in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # click's own types, which typer hides
        """Return the command that the arguments name, imported."""
        name, command, remaining_args = super().resolve_command(ctx, args)
        return name, load(name) if name else command, remaining_args

    def make_context(self, *arguments: Any, **settings: Any) -> Any:  # click's own, passed on
        """Parse the command line; ``--help`` is printed here."""
        with clean_exit():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # click's class, which typer hides
        """Run the command."""
        with clean_exit():
            return super().invoke(ctx)


@cache  # typer reads the signatures of all subcommands each time, which takes longer than many commands do
def load(name: str) -> TyperCommand | TyperGroup:
    """Import a command's module; return the command with its epilog and the epilogs of its subcommands."""
    gc.disable()  # imported objects stay
    try:
        module = import_module(f"verifywise_mlflow.cli.commands.{name}")
    finally:
        gc.enable()
    command = typer.main.get_command(module.app)
    assert isinstance(command, TyperCommand | TyperGroup)
    command.name = name
    # typer treats each module's app as a separate program, and adds options that install completion for it.
    command.params = [option for option in command.params if option.name not in _COMPLETION_OPTIONS]
    for path, subcommand in _runnable(command, name):
        if entry := HELP.get(path):
            subcommand.epilog = entry.epilog(path)
    return command


def all_commands() -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    """Yield the path of every command that can be run, such as ``policy check``, and the command."""
    for name in COMMANDS:
        yield from _runnable(load(name), name)


def _runnable(command: TyperCommand | TyperGroup, path: str) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    if isinstance(command, TyperCommand) or command.invoke_without_command:
        yield path, command
    if isinstance(command, TyperGroup):
        for name, subcommand in command.commands.items():
            assert isinstance(subcommand, TyperCommand | TyperGroup)
            yield from _runnable(subcommand, f"{path} {name}")


app = typer.Typer(
    cls=LazyGroup,
    help="\n\n".join(
        (
            "Reads tenants' MLflow registries, keeps one canonical record per model version and evaluates governance "
            "rules on it.",
            "Start with demo, which shows everything at work. For your own servers, write tenants.yaml, then run "
            "tenants, check, db upgrade and sync. The other commands read the database only.",
            "Two environment variables configure it: VERIFYWISE_TENANTS is the path of tenants.yaml, "
            "VERIFYWISE_DATABASE_URL is the URL of the Postgres database.",
            f"Exit codes: {'; '.join(f'{code} {meaning}' for code, meaning in EXIT_CODES.items())}.",
        )
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        from verifywise_mlflow.cli.version_option import version_line  # reads packages' metadata: slow

        typer.echo(version_line())
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[  # noqa: ARG001  # handled before the command is looked up
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Make typer build a group: ``LazyGroup`` has the commands. Prepare the logs for all commands."""
    if os.environ.get("VERIFYWISE_LOG_FORMAT"):
        from verifywise_mlflow.observability.json_logs import install_json_logs

        install_json_logs()
