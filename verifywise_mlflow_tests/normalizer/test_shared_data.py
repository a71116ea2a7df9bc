"""Data that a model was both trained and evaluated with is a finding, under any name of the data sets."""

from __future__ import annotations

import pytest

from verifywise_mlflow.connector.models import DatasetInput, LoggedModel, ModelVersion, TrainingRun
from verifywise_mlflow.normalizer.dataset_reference import shared_data_findings
from verifywise_mlflow.normalizer.record_inputs import RecordInputs
from verifywise_mlflow_tests.support.record_inputs_factory import normalized


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


def test_data_that_a_logged_model_was_measured_on_is_evaluation_data_unless_the_run_logged_it() -> None:
    measured = (data("answers", "d2", None), data("copy of loans", "9f2c", None))
    record = normalized(
        RecordInputs(
            version=ModelVersion("agent", 1),
            run=TrainingRun("r1", datasets=(TRAINING,)),
            logged_model=LoggedModel("m-1", datasets=measured),
        )
    ).record
    assert isinstance(record.dataset_reference, list)
    assert [(item["name"], item["digest"], item["context"]) for item in record.dataset_reference] == [
        ("loans", "9f2c", "training"),
        ("answers", "d2", "evaluation"),
    ]


def test_without_a_run_the_data_comes_from_the_logged_model() -> None:
    logged_model = LoggedModel("m-1", datasets=(data("answers", "d2", None),))
    origins = normalized(RecordInputs(version=ModelVersion("agent", 1), logged_model=logged_model)).origins
    assert (origins["dataset_reference"].source, origins["dataset_reference"].key) == ("logged model", "metrics")
