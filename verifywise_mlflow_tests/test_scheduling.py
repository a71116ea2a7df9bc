"""Files that share servers run in one process; every other file may run in another one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from verifywise_mlflow_tests.support.scheduling import GROUPS, group

TESTS = Path(__file__).parent
ROOT = TESTS.parent
FIXTURES = {
    "the demo": {"demo"},
    "the servers of object stores": {
        *("backend", "s3", "gcs", "azure"),
        *("s3_endpoint", "gcs_endpoint", "azure_endpoint"),
    },
    "the proved tenants": {"proved"},
    "the evidence": {"examined"},
    "the bank": {"synced_bank", "_synced_bank"},
}
"""The fixtures that start the servers of a group."""


@pytest.mark.parametrize("name", GROUPS)
def test_the_files_of_a_group_are_those_that_use_its_servers(name: str) -> None:
    users = [path for path in TESTS.rglob("test_*.py") if used_fixtures(path.read_text()) & FIXTURES[name]]

    assert {path.relative_to(ROOT).as_posix() for path in users} == {*GROUPS[name]}
    assert {group(file) for file in GROUPS[name]} == {name}


def used_fixtures(source: str) -> set[str]:
    if not any(f"{name}: " in source for names in FIXTURES.values() for name in names):
        return set()  # parsing all files takes a second
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return {argument.arg for function in functions if is_requested(function) for argument in function.args.args}


def is_requested(function: ast.FunctionDef) -> bool:
    """Return whether pytest passes the arguments: to a test or a fixture."""
    return function.name.startswith("test_") or any("fixture" in ast.unparse(mark) for mark in function.decorator_list)


def test_every_other_file_is_a_group_of_its_own() -> None:
    here = "verifywise_mlflow_tests/test_scheduling.py"

    assert group(here) == here
    assert group("verifywise_mlflow_tests/demo/test_process.py") not in GROUPS
