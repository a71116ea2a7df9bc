"""Data that a model was both trained and evaluated with is a finding, under any name of the data sets."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.models import DatasetInput
from verifywise_mlflow.normalizer.dataset_reference import shared_data_findings


def data(name: str | None, digest: str | None, context: str | None) -> DatasetInput:
    """Return a data set of a run."""
    return DatasetInput(name, digest, None, None, context)


TRAINING = data("loans", "9f2c", "training")


@pytest.mark.parametrize(
    ("others", "count"),
    [
        ([data("loans", "9f2c", "evaluation")], 1),
        ([data("holdout", "9f2c", "test")], 1),
        ([data("holdout", "9f2c", " Validation ")], 1),
        ([data(None, "9f2c", "eval")], 1),
        ([data("holdout", "9f2c", "test"), data("other", "9f2c", "eval")], 2),
        ([data("holdout", "11aa", "evaluation")], 0),
        ([data("loans", None, "evaluation")], 0),
        ([data("loans", "9f2c", "training")], 0),
        ([data("loans", "9f2c", "inference")], 0),
        ([], 0),
    ],
)
def test_data_with_the_digest_of_the_training_data_is_found(others: list[DatasetInput], count: int) -> None:
    found = list(shared_data_findings([TRAINING, *others]))

    assert [finding.kind for finding in found] == ["evaluated on training data"] * count


def test_data_without_a_context_is_training_data() -> None:
    (finding,) = shared_data_findings([data("loans", "9f2c", None), data("holdout", "9f2c", "evaluation")])

    assert finding.sentence == ("the data set 'holdout' for evaluation has the digest of the training data 'loans'")
