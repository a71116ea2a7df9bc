"""The notebook of the documentation runs, and its page shows the same cells."""

from __future__ import annotations

import pytest

from verifywise_mlflow_tests.api.notebook import PAGE, PICTURE, page, read_notebook, run
from verifywise_mlflow_tests.support.read_side_bank import Bank

RESULTS = {
    "stages=": "Marketing",
    "isna()": "fraud",
    "pivot_table": "critical",
    "production-privacy-assessment": "fraud",
    '"yesterday"': "Payments",
    "as_of": "now: approver Grace Hopper",
    "Annex IV(2)(g)": "fail",
    '"challenger"': "0.84",
    "shared_datasets": "credit-scoring",
}
"""A part of a cell, and a word of its output."""


def test_each_cell_shows_its_result(synced_bank: Bank) -> None:
    cells = run(read_notebook())

    for part, result in RESULTS.items():
        assert any(part in cell.source and result in cell.output for cell in cells), part
    assert any(cell.picture.startswith("<svg") for cell in cells)


def test_the_page_is_the_notebook() -> None:
    cells = read_notebook()

    assert PAGE.read_text(encoding="utf-8") == page(cells)
    assert PICTURE.read_text(encoding="utf-8") == next(cell.picture for cell in cells if cell.picture)
    if without_output := [cell.source for cell in cells if "[[" in cell.source and not cell.output]:
        pytest.fail(f"run python -m verifywise_mlflow_tests.api.notebook: no output of {without_output}")
