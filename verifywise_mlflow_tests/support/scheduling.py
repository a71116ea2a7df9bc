"""Decides which tests run in one process, and which tests begin first.

Tests of one file stay in one process, since they share their set-up. Tests of several files also stay in one process
if they share servers that take long to start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "the demo": (
        "verifywise_mlflow_tests/demo/test_demo.py",
        "verifywise_mlflow_tests/demo/test_change_delay.py",
        "verifywise_mlflow_tests/browser/test_dagster_pages.py",  # this file changes the demo's registries
        "verifywise_mlflow_tests/demo/test_stopped_demo.py",
    ),
    "the servers of object stores": (
        "verifywise_mlflow_tests/artifacts/stores/test_direct_reads.py",
        "verifywise_mlflow_tests/artifacts/stores/test_every_store.py",
        "verifywise_mlflow_tests/artifacts/stores/test_object_states.py",
        "verifywise_mlflow_tests/artifacts/stores/test_credentials.py",
        "verifywise_mlflow_tests/pipeline/test_stored_files.py",
    ),
    "the proved tenants": (
        "verifywise_mlflow_tests/audit/proofs/test_verify_proof.py",
        "verifywise_mlflow_tests/audit/proofs/test_prove_command.py",
    ),
    "the bank": (
        "verifywise_mlflow_tests/api/test_client.py",
        "verifywise_mlflow_tests/api/test_notebook.py",
        "verifywise_mlflow_tests/cli/test_lineage_command.py",
        "verifywise_mlflow_tests/cli/test_fifteen_questions.py",
        "verifywise_mlflow_tests/exports/warehouse/test_warehouse_tables.py",
    ),
    "the evidence": (
        "verifywise_mlflow_tests/audit/test_manipulations.py",
        "verifywise_mlflow_tests/audit/test_accepted_states.py",
        "verifywise_mlflow_tests/audit/test_auditors_page.py",
    ),
}
"""The files that share servers, in the order in which they run."""

_GROUP_OF: Final = {file: group for group, files in GROUPS.items() for file in files}
_POSITION_OF: Final = {file: position for files in GROUPS.values() for position, file in enumerate(files)}


class GroupScheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Assigns groups of files to the processes of pytest-xdist: each process runs one group at a time."""

    def _split_scope(self, nodeid: str) -> str:
        return group(super()._split_scope(nodeid))


def group(file: str) -> str:
    """Return the name of the group of files that run in one process, for a file of the group."""
    return _GROUP_OF.get(file, file)


def sort_longest_first(items: list[pytest.Item]) -> None:
    """Put the slowest groups first: all other processes would wait for a slow group that begins last."""
    seconds: dict[str, Counter[str]] = {}
    for item in items:
        file = _file(item)
        for mark in item.iter_markers("slow"):
            of_files = seconds.setdefault(group(file), Counter())
            of_files[file] = max(of_files[file], mark.kwargs["seconds"])
    total = {name: of_files.total() for name, of_files in seconds.items()}
    # The sort is stable: all other files stay in their order.
    items.sort(key=lambda item: (-total.get(group(_file(item)), 0), _POSITION_OF.get(_file(item), 0)))


def _file(item: pytest.Item) -> str:
    return item.nodeid.split("::", 1)[0]
