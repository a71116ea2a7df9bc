"""Runs a part of a benchmark in a separate process, so that its CPU time and memory are measured separately.

The child also measures Postgres: it gets the URL of the database and the process ID of the server.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres

_URL_VARIABLE: Final = "BENCHMARK_DATABASE_URL"


def run_in_own_process(
    module: str,
    *arguments: str | Path,
    postgres: EmbeddedPostgres,
    database: str,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Run ``python -m benchmarks.MODULE`` with a database, and return what it prints.

    Raises:
        CalledProcessError: the process failed.
    """
    return subprocess.run(  # noqa: S603  # our own command, no shell
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        env={**os.environ, **variables, _URL_VARIABLE: postgres.url(database)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        input=str(postgres.process.pid),
        cwd=Path(__file__).parents[1],
    ).stdout


def given_database() -> tuple[str, int]:
    """Return what ``run_in_own_process`` passed to this process: the URL and the server's process ID."""
    return os.environ[_URL_VARIABLE], int(sys.stdin.read())
