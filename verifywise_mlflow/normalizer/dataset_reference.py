"""References to the data sets that a version was trained on. The data itself is never read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from verifywise_mlflow.common.json_value import Json
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.connector.models import DatasetInput
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.record_inputs import RecordInputs

EVALUATION_CONTEXTS: Final = frozenset({"evaluation", "eval", "validation", "testing", "test", "holdout"})
"""The contexts, in lower case, that mark a run's data set as evaluation data."""


def dataset_reference(datasets: Sequence[DatasetInput], name_from_tag: str | None) -> Json:
    """Return the run's data sets as MLflow recorded them, or else the data set that a tag names, or else None."""
    if not datasets and name_from_tag is not None:
        datasets = (DatasetInput(name=name_from_tag, digest=None, source_type=None, source=None, context=None),)
    return [_dataset_json(dataset) for dataset in datasets] or None


def measured_datasets(inputs: RecordInputs) -> tuple[DatasetInput, ...]:
    """Return the data sets on which the logged model was measured, without those that the run itself logged.

    MLflow 3 stores these data sets with each metric. An evaluation of an agent or an application has its own run, which
    the version does not name. So only the metrics show the data of the evaluation. Training data are among the data
    sets of the version's run.
    """
    if inputs.logged_model is None:
        return ()
    logged = {(data.name, data.digest) for data in inputs.run.datasets} if inputs.run else set()
    digests = {digest for _, digest in logged if digest}
    return tuple(
        replace(data, context="evaluation")
        for data in inputs.logged_model.datasets
        if (data.name, data.digest) not in logged and data.digest not in digests
    )


def _dataset_json(dataset: DatasetInput) -> dict[str, Json]:
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": dataset.source,
        "context": dataset.context,
    }


def shared_data_findings(datasets: Sequence[DatasetInput]) -> Iterator[Finding]:
    """Yield a finding for each data set, by digest, with which a model was both trained and evaluated."""
    other = [data for data in datasets if not _is_for_evaluation(data) and data.context != "inference"]
    trained = {data.digest: data.name for data in other if data.digest}
    for data in datasets:
        if data.digest in trained and _is_for_evaluation(data):
            name = quote(data.name or "")
            yield Finding(
                "evaluated on training data",
                "dataset_reference",
                f"the data set {name} for evaluation has the digest of the training data "
                f"{quote(trained[data.digest] or '')}",
            )


def _is_for_evaluation(data: DatasetInput) -> bool:
    return (data.context or "").strip().lower() in EVALUATION_CONTEXTS
