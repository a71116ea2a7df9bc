"""``verifywise-mlflow demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.output import fail

app = typer.Typer(help="Start a demo: a real MLflow server, Postgres and Dagster, with two tenants.")

Home = Annotated[Path, typer.Option(help="The folder of the demo's databases and files.")]


@app.callback(invoke_without_command=True)
def demo(
    context: typer.Context,
    once: Annotated[bool, typer.Option(help="Exit after the summary instead of keeping the servers running.")] = False,
    fresh: Annotated[bool, typer.Option(help="Delete an earlier demo first.")] = False,
    deliver: Annotated[bool, typer.Option(help="Deliver the results to a server with VerifyWise's API.")] = False,
    home: Home = Path(".demo"),
) -> None:
    """Start a demo: a real MLflow server, Postgres and Dagster, with two tenants."""
    if context.invoked_subcommand:
        return
    try:
        from verifywise_mlflow.demo.run import run_demo
    except ModuleNotFoundError as error:
        _fail_without_extra(error)
    try:
        code = run_demo(home, once=once, fresh=fresh, delivers=deliver)
    except OSError as error:  # the folder cannot be created, or the disk is full
        fail(f"the demo failed: {error.filename or home}: {error.strerror}", FAILED, as_json=False)
    raise typer.Exit(code)


@app.command()
def live(
    undo: Annotated[bool, typer.Option("--undo", help="Only restore the tag.")] = False,
    home: Home = Path(".demo"),
) -> None:
    """Change the running demo, and watch it react: an owner's tag is removed in MLflow, and the badge turns.

    Run it in another terminal. The same command, or --undo, restores the tag.
    """
    try:
        from verifywise_mlflow.demo.live import run_live
    except ModuleNotFoundError as error:
        _fail_without_extra(error)
    raise typer.Exit(run_live(home, undo=undo))


def _fail_without_extra(error: ModuleNotFoundError) -> NoReturn:
    fail(
        f"the demo needs {error.name}, which is not installed: pip install 'verifywise-mlflow[demo]'",
        FAILED,
        as_json=False,
    )
