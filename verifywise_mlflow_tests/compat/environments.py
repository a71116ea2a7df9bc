"""The MLflow versions that the product is tried on, each installed in an environment of its own.

A further version takes one more file in ``servers/``, named after it, with what its environment is to hold.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.version import Version

REPOSITORY = Path(__file__).parents[2]
ENVIRONMENTS = REPOSITORY / ".compat"
"""``make compat`` makes a virtual environment in it for each file in ``servers/``."""

CURRENT = "current"
"""The MLflow that requirements/dev.txt pins, which is our own as well."""


def number(name: str) -> str:
    """Return the MLflow version of an environment."""
    return importlib.metadata.version("mlflow") if name == CURRENT else name


EVERY = tuple(
    sorted(
        (requirements.stem for requirements in (Path(__file__).parent / "servers").glob("*.txt")),
        key=lambda name: Version(number(name)),
    )
)
"""Their names, oldest first."""


def since(version: str) -> list[str]:
    """Return the environments that have this MLflow or a later one."""
    return [name for name in EVERY if Version(number(name)) >= Version(version)]


def before(version: str) -> list[str]:
    """Return the environments that have an MLflow earlier than this one."""
    return [name for name in EVERY if Version(number(name)) < Version(version)]


def on(names: Sequence[str]) -> pytest.MarkDecorator:
    """Have a story told on these servers only, because the others have nothing of what it is about."""
    return pytest.mark.parametrize("server", names, indirect=True, scope="session")


def interpreter(name: str) -> Path:
    """Return an environment's Python; fail the test where there is none."""
    python = ENVIRONMENTS / name / "bin" / "python"
    if not python.exists():
        pytest.fail(f"MLflow {number(name)} is not installed under {ENVIRONMENTS.name}: run make compat", pytrace=False)
    return python
