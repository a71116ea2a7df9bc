"""``verifywise-mlflow demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from verifywise_mlflow.cli.app import app
from verifywise_mlflow.cli.command_help import FAILED
from verifywise_mlflow.cli.output import fail


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="End after the summary instead of staying up.")] = False,
    fresh: Annotated[bool, typer.Option(help="Throw an earlier demo away.")] = False,
    home: Annotated[Path, typer.Option(help="Where the demo keeps its databases and files.")] = Path(".demo"),
) -> None:
    """Start a playground: a real MLflow server, Postgres and Dagster, with two tenants."""
    from verifywise_mlflow.demo.run import run_demo  # the demo's servers are not needed elsewhere

    try:
        code = run_demo(home, once=once, fresh=fresh)
    except OSError as error:  # no such folder can be made, or its disk is full
        fail(f"the demo failed: {error.filename or home}: {error.strerror}", FAILED, as_json=False)
    raise typer.Exit(code)
