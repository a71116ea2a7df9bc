"""The metrics of a version, in releases with model risk management: each value is sent once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from verifywise_mlflow.delivery.verifywise.remote import MetricPoint, VerifyWise
from verifywise_mlflow.delivery.verifywise.remote_state import RemoteState
from verifywise_mlflow.delivery.verifywise.steps import Ledger, Sent, Step, Write
from verifywise_mlflow.normalizer.record import CanonicalRecord
from verifywise_mlflow.persistence.repositories.delivery_ledger import Content

PREFIX: Final = "metric/"
SEND: Final = "send metric"
MAX_METRICS: Final = 100
"""The maximum number of metrics of a version that are sent, in the order of their names."""
MAX_NAME_CHARACTERS: Final = 100


def metric_points(record: CanonicalRecord) -> list[MetricPoint]:
    """Return the metrics of a version that VerifyWise accepts, with the time of the training or of the version."""
    at = record.training_ended_at or record.training_started_at or record.created_at
    metrics = record.metrics
    if at is None or not isinstance(metrics, Mapping):
        return []
    points = [
        MetricPoint(name, float(value), at)
        for name, value in sorted(metrics.items())
        if isinstance(value, int | float) and math.isfinite(value) and len(name) <= MAX_NAME_CHARACTERS
    ]
    return points[:MAX_METRICS]


def metric_steps(key: str, points: list[MetricPoint], ledger: Ledger, remote: RemoteState) -> Iterator[Step]:
    """Yield a step for each value that was not sent yet. VerifyWise reports a repeated value as a duplicate."""
    for point in points:
        item = PREFIX + point.metric
        content: Content = {"value": point.value, "at": _text(point.at)}
        row = ledger.get(item)
        if row is not None and row.written == content:
            continue
        if not remote.release.has_model_metrics:
            return

        def send(client: VerifyWise, _entry_id: int, point: MetricPoint = point) -> Sent:
            client.post_metric(key, point)
            return Sent()

        yield Write(SEND, item, content, send, point.metric)


def _text(at: datetime) -> str:
    return at.isoformat()
