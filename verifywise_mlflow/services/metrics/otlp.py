"""Pushes the readings to an OpenTelemetry collector, with the same metric names as for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from verifywise_mlflow import __version__
from verifywise_mlflow.observability.sdk import INSTRUMENTATION, export_timeout, service_resource
from verifywise_mlflow.services.metrics.catalog import DURATION_BUCKETS, METRICS, Metric
from verifywise_mlflow.services.metrics.collector import MetricsCollector
from verifywise_mlflow.services.metrics.tenant_state import EndedSync


class MetricsPush:
    """Pushes at the interval OTEL_METRIC_EXPORT_INTERVAL, a minute by default, until it is closed."""

    def __init__(self, collector: MetricsCollector) -> None:
        """Start pushing."""
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(timeout=export_timeout("metrics")))
        self._provider = MeterProvider([reader], service_resource(), shutdown_on_exit=False)
        meter = self._provider.get_meter(INSTRUMENTATION, __version__)
        for metric in METRICS.values():
            match metric.kind:
                case "gauge":
                    meter.create_observable_gauge(
                        metric.name, [_observed(collector, metric)], description=metric.description
                    )
                case "counter":
                    meter.create_observable_counter(
                        metric.name, [_observed(collector, metric)], description=metric.description
                    )
                case "histogram":
                    durations = meter.create_histogram(
                        metric.name,
                        description=metric.description,
                        explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
                    )

        def record(sync: EndedSync) -> None:
            durations.record(sync.seconds, {"outcome": sync.outcome})

        collector.on_sync = record

    def close(self) -> None:
        """Push the last readings, and stop."""
        self._provider.shutdown()


def _observed(collector: MetricsCollector, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        for labels, value in collector.readings.of(metric.name).items():
            yield Observation(value, dict(zip(metric.labels, labels, strict=True)))

    return observe
