"""Dagster's internals are used in one module only, and an untested version of Dagster is reported."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import verifywise_mlflow
from verifywise_mlflow.defs.dagster_compat import UntestedDagsterWarning, warn_if_untested

PACKAGE = Path(verifywise_mlflow.__file__).parent


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{alias.name}" for alias in names)


@pytest.mark.parametrize("prefix", ["dagster._", "dagster_shared", "verifywise_mlflow.persistence.dagster_events"])
def test_only_dagster_compat_uses_dagsters_internals(prefix: str) -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(module.startswith(prefix) for module in imported_modules(path))
    }
    assert users <= {"defs/dagster_compat.py"}


def test_the_installed_dagster_was_tested() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_untested(dg.__version__)


@pytest.mark.parametrize("version", ["1.14.0", "2.0.0rc1", "unknown"])
def test_a_newer_or_unknown_dagster_is_reported(version: str) -> None:
    with pytest.warns(UntestedDagsterWarning, match="was tested with versions up to 1.13"):
        warn_if_untested(version)


def test_a_canceled_run_ends_although_its_steps_are_retried() -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "verifywise_mlflow_tests.defs.canceled_run"], capture_output=True, text=True, check=True
    )

    assert completed.stdout.split() in (["failed", "1"], ["canceled", "1"])
