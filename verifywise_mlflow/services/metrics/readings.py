"""The values of all metrics at one time, and how long syncs took. All names and labels are in the catalog."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from verifywise_mlflow.services.metrics.catalog import DURATION_BUCKETS, METRICS

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order of the catalog."""


class Readings:
    """The values of gauges or of counters."""

    def __init__(self) -> None:
        self._values: defaultdict[str, dict[Labels, float]] = defaultdict(dict)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a value."""
        self._of(name, labels)[labels] = value

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Raise a value, which starts at 0."""
        values = self._of(name, labels)
        values[labels] = values.get(labels, 0.0) + amount

    def of(self, name: str) -> Mapping[Labels, float]:
        """Return the values of a metric by labels; empty if the metric has no values."""
        return self._values.get(name, {})

    def copy(self) -> Readings:
        """Return an independent copy."""
        copied = Readings()
        for name, values in self._values.items():
            copied._values[name] = dict(values)
        return copied

    def merged(self, other: Readings) -> Readings:
        """Return the values of these and the other readings."""
        merged = self.copy()
        merged._values.update(other.copy()._values)
        return merged

    def _of(self, name: str, labels: Labels) -> dict[Labels, float]:
        if len(METRICS[name].labels) != len(labels):
            raise ValueError(f"{name} has the labels {METRICS[name].labels}, not {labels}")
        return self._values[name]


@dataclass(slots=True)
class Durations:
    """The number of syncs in each of ``DURATION_BUCKETS``, and the sum of their durations."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    total_seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a sync."""
        self.counts[bisect_left(DURATION_BUCKETS, seconds)] += 1
        self.total_seconds += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Return Prometheus' cumulative buckets: each upper limit, and how many syncs took at most that long."""
        counted, total = [], 0
        for limit, count in zip((*map(str, DURATION_BUCKETS), "+Inf"), self.counts, strict=True):
            total += count
            counted.append((limit, float(total)))
        return counted
