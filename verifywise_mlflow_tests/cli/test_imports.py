"""A process imports only what it needs. Durations depend on the machine, so these tests examine imports instead.

`time verifywise-mlflow --help` shows the duration, and `python -X importtime` shows the time per module.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync

SLOW_IMPORTS = {"alembic", "dagster", "mlflow", "pandas", "pydantic", "sqlalchemy"}

NOT_IN_AN_UNCHANGED_SYNC = (SLOW_IMPORTS - {"pydantic", "sqlalchemy"}) | {
    "boto3",
    "cryptography",
    "google.protobuf",
    "jinja2",
    "kingfisher_sdk",
    "opentelemetry",
    "prometheus_client",
    "rapidfuzz",
    "requests",
    "rich.progress",
    "verifywise_mlflow.artifacts.model_signing.verification",
    "verifywise_mlflow.demo",
    "verifywise_mlflow.persistence.migrations",
    "verifywise_mlflow.pipeline.due_manifests",
}
"""Each import takes at least 10 ms. Together they take longer than an unchanged sync of a small tenant."""

NOT_IN_A_RUN_PROCESS = {"boto3", "cryptography", "jinja2", "kingfisher_sdk", "mlflow", "opentelemetry", "pandas"}
"""Dagster itself imports alembic and more."""


def imported(program: str, *arguments: str, names: set[str]) -> set[str]:
    """Return which of the modules a new process imports."""
    code = f"import atexit, sys\natexit.register(lambda: print(*({names!r} & sys.modules.keys())))\n{program}"
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=os.environ
    )
    return set(process.stdout.splitlines()[-1].split()) if process.stdout else set()


COMMAND = "from verifywise_mlflow.cli import app\napp(sys.argv[1:])"


@pytest.mark.parametrize(
    ("arguments", "needed"), [(["--help"], set()), (["show", "--help"], {"pydantic", "sqlalchemy"})]
)
def test_a_command_imports_only_what_it_needs(arguments: list[str], needed: set[str]) -> None:
    assert imported(COMMAND, *arguments, names=SLOW_IMPORTS) == needed


def test_an_unchanged_sync_imports_neither_its_rare_tools_nor_what_others_need(
    registry: Registry, tenant: Tenant, tenants_file: Path, store: Store
) -> None:
    registry.version("churn", tags={"owner": "Ada"})  # without a run: a sync reads a recently ended run again
    sync(tenant, store)

    assert imported(COMMAND, "sync", "acme", "--json", names=NOT_IN_AN_UNCHANGED_SYNC) == set()


def test_loading_the_definitions_of_dagster_imports_nothing_that_few_runs_need() -> None:
    assert imported("import verifywise_mlflow.definitions", names=NOT_IN_A_RUN_PROCESS) == set()


def test_the_demo_imports_neither_mlflow_nor_dagster_which_its_child_processes_need() -> None:
    names = {"dagster", "mlflow", "pandas", "sklearn"}

    assert imported("import verifywise_mlflow.demo.run", names=names) == set()
