"""The MLflow versions that the product is tested with, each in its own virtual environment.

To add a version, add a file to ``servers/``. The file has the name of the version and lists the requirements.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.version import Version

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENTS = REPOSITORY / ".compat"
"""``make compat`` creates a virtual environment in it for each file in ``servers/``."""

CURRENT = "current"
"""The MLflow that requirements/dev.txt pins, which is also the one in our own environment."""


def mlflow_version(name: str) -> str:
    """Return the MLflow version of an environment."""
    return importlib.metadata.version("mlflow") if name == CURRENT else name


ALL_ENVIRONMENTS = tuple(
    sorted(
        (requirements.stem for requirements in (Path(__file__).parent / "servers").glob("*.txt")),
        key=lambda name: Version(mlflow_version(name)),
    )
)
"""Their names, oldest first."""


def environments_since(version: str) -> list[str]:
    """Return the environments with this MLflow version or a later one."""
    return [name for name in ALL_ENVIRONMENTS if Version(mlflow_version(name)) >= Version(version)]


def environments_before(version: str) -> list[str]:
    """Return the environments with an MLflow older than this version."""
    return [name for name in ALL_ENVIRONMENTS if Version(mlflow_version(name)) < Version(version)]


def on_servers(names: Sequence[str]) -> pytest.MarkDecorator:
    """Run a test on these servers only, because other servers lack the feature."""
    return pytest.mark.parametrize("server", names, indirect=True, scope="session")


def interpreter(name: str) -> Path:
    """Return an environment's Python; fail the test if it is not installed."""
    python = ENVIRONMENTS / name / "bin" / "python"
    if not python.exists():
        pytest.fail(
            f"MLflow {mlflow_version(name)} is not installed under {ENVIRONMENTS.name}: run make compat", pytrace=False
        )
    return python
