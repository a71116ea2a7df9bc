"""The data sets that a version was trained on, as references: the data itself is never read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.connector.models import DatasetInput
from verifywise_mlflow.normalizer.findings import Finding
from verifywise_mlflow.normalizer.record import Json

EVALUATION_CONTEXTS: Final = frozenset({"evaluation", "eval", "validation", "testing", "test", "holdout"})
"""What a run says of data that a model is evaluated with, in lower case."""


def dataset_reference(datasets: Sequence[DatasetInput], name_from_tag: str | None) -> Json:
    """Return the run's data sets as MLflow recorded them, else the one that a tag names, else None."""
    if not datasets and name_from_tag is not None:
        datasets = (DatasetInput(name=name_from_tag, digest=None, source_type=None, source=None, context=None),)
    return [_dataset_json(dataset) for dataset in datasets] or None


def _dataset_json(dataset: DatasetInput) -> dict[str, Json]:
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": dataset.source,
        "context": dataset.context,
    }


def shared_data_findings(datasets: Sequence[DatasetInput]) -> Iterator[Finding]:
    """Yield a finding for each data set that a model was both trained and evaluated with, by its digest."""
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
