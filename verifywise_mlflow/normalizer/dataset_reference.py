"""The data sets that a version was trained on, as references: the data itself is never read."""

from __future__ import annotations

from collections.abc import Sequence

from verifywise_mlflow.connector.models import DatasetInput
from verifywise_mlflow.normalizer.record import Json


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
