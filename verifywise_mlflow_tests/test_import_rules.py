"""Tests share code through helper modules only, so a test module can be renamed without a search for its users."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent


def imports_from_test_modules(source: str) -> list[str]:
    """Return the imports of our test modules, or of names in our test modules."""
    return [
        name
        for name in _imported_names(source)
        if name.startswith((TESTS.name, ".")) and any(part.startswith("test_") for part in name.split(".")[:-1])
    ]


def _imported_names(source: str) -> Iterator[str]:
    """Return absolute dotted names; a trailing dot stands for the whole module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"{alias.name}." for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}." for alias in node.names)


@pytest.mark.parametrize("folder", [TESTS.name, "benchmarks"])
def test_no_module_imports_from_a_test_module(folder: str) -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (REPOSITORY / folder).rglob("*.py")}

    offenders = {str(path.relative_to(REPOSITORY)): imports_from_test_modules(text) for path, text in sources.items()}

    assert sources
    assert {path: names for path, names in offenders.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import verifywise_mlflow_tests.cli.test_tags",
        "from verifywise_mlflow_tests.cli import test_tags",
        "from verifywise_mlflow_tests.cli.test_tags import ROWS",
        "from .test_tags import ROWS",
        "def late():\n    from verifywise_mlflow_tests.cli.test_tags import ROWS",
    ],
)
def test_each_form_of_such_an_import_is_found(source: str) -> None:
    assert imports_from_test_modules(source)
