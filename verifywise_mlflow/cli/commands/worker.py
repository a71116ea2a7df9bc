"""``verifywise-mlflow worker``."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from verifywise_mlflow.cli.command_catalog import FAILED
from verifywise_mlflow.cli.failures import exit_on_errors
from verifywise_mlflow.cli.output import fail
from verifywise_mlflow.persistence.database import database_url

app = typer.Typer()


@app.command()
def worker(
    processes: Annotated[int, typer.Option(min=1, help="Runs at a time, each in a process of its own.")] = 2,
) -> None:
    """Execute the runs that Dagster sends to the broker, several at a time."""
    with exit_on_errors(as_json=False):
        database_url()
    if find_spec("celery") is None or find_spec("dagster_celery") is None:
        fail(
            "workers need Celery, which is not installed: pip install 'verifywise-mlflow[celery]'",
            FAILED,
            as_json=False,
        )
    # This starts a new program without the modules of the command line: the processes of runs are forked from it.
    os.execv(sys.executable, [sys.executable, "-m", "verifywise_mlflow.distributed.worker", str(processes)])  # noqa: S606
