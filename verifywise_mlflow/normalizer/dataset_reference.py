"""The data sets that a version was trained on, as references: the data itself is never read."""

from __future__ import annotations

from collections.abc import Sequence

from verifywise_mlflow.connector.models import DatasetInput
from verifywise_mlflow.normalizer.record import Json


def dataset_reference(datasets: Sequence[DatasetInput], named_by_tag: str | None) -> Json:
    """Return what MLflow recorded of a run's data sets, else the one that a tag names, else None."""
    if not datasets and named_by_tag is not None:
        datasets = (DatasetInput(name=named_by_tag, digest=None, source_type=None, source=None, context=None),)
    return [_as_json(dataset) for dataset in datasets] or None


def _as_json(dataset: DatasetInput) -> dict[str, Json]:
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": dataset.source,
        "context": dataset.context,
    }
