"""The page on conclusions names existing tests, and all kinds of findings, events and manifests that conclude."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from verifywise_mlflow.artifacts.manifest import ManifestStatus
from verifywise_mlflow.normalizer.findings import FINDING_KINDS
from verifywise_mlflow.normalizer.lifecycle_event import EventKind
from verifywise_mlflow_tests.support.documentation import ROOT, read_page

PAGE = read_page("explanation/conclusions.md")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| conclusion")]

ABOUT_A_TEXT = {
    "unknown value",
    "no value",
    "unreadable date",
    "conflict",
    "secret redacted",
    "personal data redacted",
}
"""Findings about a text that was read, not about an absence, a move, a copy or a repetition."""
OBSERVED = {"first seen", "status", "deployment", "disappeared"}
"""Events that are an observation, or another word for a conclusion on the page."""


def test_each_conclusion_has_its_evidence_and_a_test_that_exists() -> None:
    for row in ROWS:
        conclusion, evidence, mislead, tests = (cell.strip() for cell in row.strip("|").split(" | "))
        assert all((conclusion, evidence, mislead)), row
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", tests)
        assert named, row
        for path, name in named:
            code = (ROOT / "verifywise_mlflow_tests" / path).read_text(encoding="utf-8")
            assert re.search(rf"^ *def {name}\(", code, re.MULTILINE), f"{path} has no {name}"


@pytest.mark.parametrize(
    "kind",
    [
        *sorted(set(FINDING_KINDS) - ABOUT_A_TEXT),
        *sorted({kind.value for kind in EventKind} - OBSERVED),
        *sorted({*get_args(ManifestStatus)} - {"complete", "partial", "none"}),
    ],
)
def test_each_kind_of_conclusion_is_on_the_page(kind: str) -> None:
    assert any(kind in row.lower() for row in ROWS)
