"""The changed objects of a listing are written in batches that are bounded in number and in bytes."""

from __future__ import annotations

import pytest

from verifywise_mlflow.persistence.batch_limits import MAX_BATCH_BYTES, ROWS_PER_BATCH
from verifywise_mlflow.pipeline.change_detection import ChangeSet

HALF = "x" * (MAX_BATCH_BYTES // 2 - 100)


@pytest.mark.parametrize(
    ("texts", "batch_lengths"),
    [
        ([], []),
        (["a"] * 3, [3]),
        (["a"] * (2 * ROWS_PER_BATCH + 1), [ROWS_PER_BATCH, ROWS_PER_BATCH, 1]),
        ([HALF] * 5, [2, 2, 1]),
        ([HALF * 3, "a", HALF * 3], [1, 1, 1]),
        (["\U0001f600" * (MAX_BATCH_BYTES // 12)] * 2, [1, 1]),
    ],
    ids=["none", "few", "many", "large", "larger than a batch", "escaped"],
)
def test_a_batch_ends_at_its_number_or_at_its_bytes(texts: list[str], batch_lengths: list[int]) -> None:
    changes: ChangeSet[str] = ChangeSet()
    for text in texts:
        changes.add_if_changed(text, None, None)

    batches = list(changes.batches())

    assert [len(batch) for batch in batches] == batch_lengths
    assert [change.entity for batch in batches for change in batch] == texts
