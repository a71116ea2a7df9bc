"""The evaluation of a generative application in the record: assessments of traces, and data sets.

MLflow stores assessments with the traces of a logged model. Only their counts and a digest are stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.connector.models import (
    AssessmentCounts,
    DatasetInput,
    EvaluationDataset,
    ModelAssessments,
)

if TYPE_CHECKING:
    from verifywise_mlflow.normalizer.record_inputs import RecordInputs

MAX_DATASETS: Final = 20
"""The maximum number of evaluation data sets of one logged model in a record."""

READ: Final = "read"
NOT_OFFERED: Final = "not offered"
NOT_READ_YET: Final = "not read yet"
SWITCHED_OFF: Final = "switched off"
"""States of an evaluation. ``NOT_OFFERED``: the server has no search for assessments. ``SWITCHED_OFF``: the tenant's
settings exclude the search."""


def read_evaluation(
    assessments: ModelAssessments | None,
    measured_on: Sequence[DatasetInput],
    registered: Sequence[EvaluationDataset],
    *,
    is_complete: bool,
) -> dict[str, Json]:
    """Return a logged model's evaluation in the form in which the database and the record store it.

    Args:
        assessments: the assessments of the model's traces; None if no trace has one.
        measured_on: the data sets that the model's metrics name.
        registered: the evaluation data sets that the server shows.
        is_complete: whether all traces were read. If they were not, each count is a lower bound.
    """
    datasets = [_dataset(measured, registered) for measured in measured_on[:MAX_DATASETS]]
    return {
        "state": READ,
        "is_complete": is_complete,
        "assessed_traces": assessments.traces if assessments else 0,
        "assessments": [_counts(counts) for counts in assessments.counts] if assessments else [],
        "names_left_out": assessments.names_left_out if assessments else 0,
        "expectations": assessments.expectations if assessments else 0,
        "sha256": assessments.digest if assessments else None,
        "datasets": datasets,
        # This list is for rules, whose conditions cannot compare two lists.
        "empty_datasets": [dataset["name"] for dataset in datasets if dataset["records"] == 0],
    }


def not_read(state: str) -> dict[str, Json]:
    """Return the value of an evaluation that was not read."""
    return {"state": state}


def evaluation_json(inputs: RecordInputs, model_kind: str | None) -> Json:
    """Return the evaluation of a version. None if the version is not generative or has no logged model."""
    if inputs.logged_model is None or (inputs.evaluation_read_error and inputs.generative_evaluation is None):
        return None
    if inputs.generative_evaluation is None:
        return not_read(NOT_READ_YET) if model_kind == "generative" else None
    return dict(inputs.generative_evaluation)


def may_be_read(evaluation: object) -> bool:
    """Return whether an evaluation was not read yet, or is missing because the version has not needed an evaluation."""
    return not isinstance(evaluation, Mapping) or evaluation.get("state") == NOT_READ_YET


def with_at_least(evaluation: dict[str, Json], former: Mapping[str, Json]) -> dict[str, Json]:
    """Return a partly read evaluation. If the former assessments were more numerous, it has the former assessments.

    Newer traces of other models may have displaced traces that were counted before. The former counts remain valid as
    lower bounds.
    """
    if _counted(former) <= _counted(evaluation):
        return evaluation
    of_datasets = {name: evaluation[name] for name in ("datasets", "empty_datasets")}
    return {**former, "is_complete": False, **of_datasets}


def _counted(evaluation: Mapping[str, Json]) -> int:
    listed = evaluation.get("assessments")
    counts = [entry.get("count") for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    return sum(count for count in counts if isinstance(count, int))


def _counts(counts: AssessmentCounts) -> dict[str, Json]:
    return {
        "name": counts.name,
        "source": counts.source,
        "count": counts.count,
        "traces": counts.traces,
        "sources": counts.sources,
        "passed": counts.passed,
        "failed": counts.failed,
        "numbers": counts.numbers,
        "least": counts.least,
        "mean": counts.mean,
        "most": counts.most,
        "others": counts.others,
        "errors": counts.errors,
        "first_at": _text(counts.first_at),
        "newest_at": _text(counts.newest_at),
    }


def _dataset(measured: DatasetInput, registered: Sequence[EvaluationDataset]) -> dict[str, Json]:
    """Return a data set of a metric. If exactly one registered data set has its name, the details of it are added."""
    of_name = [dataset for dataset in registered if dataset.name == measured.name]
    found = of_name[0] if len(of_name) == 1 else None
    return {
        "name": measured.name,
        "digest": measured.digest,
        "dataset_id": found.dataset_id if found else None,
        "records": found.record_count if found else None,
        "registered_digest": found.digest if found else None,
        "last_updated_at": _text(found.last_updated_at) if found else None,
    }


def _text(time: datetime | None) -> str | None:
    return time.isoformat(timespec="milliseconds") if time else None
