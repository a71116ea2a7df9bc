"""``verifywise-mlflow demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from verifywise_mlflow.cli.command_table import FAILED
from verifywise_mlflow.cli.output import fail

app = typer.Typer()


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="Exit after the summary instead of keeping the servers running.")] = False,
    fresh: Annotated[bool, typer.Option(help="Delete an earlier demo first.")] = False,
    deliver: Annotated[bool, typer.Option(help="Deliver the results to a server with VerifyWise's API.")] = False,
    home: Annotated[Path, typer.Option(help="The folder of the demo's databases and files.")] = Path(".demo"),
) -> None:
    """Start a demo: a real MLflow server, Postgres and Dagster, with two tenants."""
    try:
        from verifywise_mlflow.demo.run import run_demo
    except ModuleNotFoundError as error:
        fail(
            f"the demo needs {error.name}, which is not installed: pip install 'verifywise-mlflow[demo]'",
            FAILED,
            as_json=False,
        )
    try:
        code = run_demo(home, once=once, fresh=fresh, delivers=deliver)
    except OSError as error:  # the folder cannot be created, or the disk is full
        fail(f"the demo failed: {error.filename or home}: {error.strerror}", FAILED, as_json=False)
    raise typer.Exit(code)
