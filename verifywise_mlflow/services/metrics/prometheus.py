"""Serves the readings in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from verifywise_mlflow.services.metrics.catalog import METRICS
from verifywise_mlflow.services.metrics.collector import MetricsCollector


class _ReadingsCollector(Collector):
    def __init__(self, collector: MetricsCollector) -> None:
        self._collector = collector

    def collect(self) -> Iterator[Family]:
        """Yield every metric that has a value."""
        readings, durations = self._collector.readings, self._collector.durations
        for name, metric in METRICS.items():
            if metric.kind == "histogram":
                histogram = HistogramMetricFamily(name, metric.description, labels=metric.labels)
                for outcome, of_outcome in sorted(durations.items()):
                    histogram.add_metric([outcome], of_outcome.cumulative(), of_outcome.total_seconds)
                yield histogram
                continue
            family_type = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = family_type(name, metric.description, labels=metric.labels)
            for labels, value in readings.of(name).items():
                family.add_metric(labels, value)
            if family.samples:
                yield family


def registry_of(collector: MetricsCollector) -> CollectorRegistry:
    """Return a registry with only the readings, without metrics of this process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_ReadingsCollector(collector))
    return registry


def exposition(collector: MetricsCollector) -> str:
    """Return all metrics as Prometheus' text."""
    return generate_latest(registry_of(collector)).decode()
