"""The OpenTelemetry SDK, set up for processes that may run one sync and end. Only ``tracing.py`` imports this module,
and only if traces are on.

The SDK reads its other settings from the environment: endpoint, headers, certificates, sampler, limits.
"""

from __future__ import annotations

import os
import uuid
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from verifywise_mlflow import __version__

INSTRUMENTATION: Final = "verifywise_mlflow"
EXPORT_TIMEOUT_S: Final = 3.0
"""The timeout of one export, including retries, unless a variable sets another timeout. With OpenTelemetry's default, a
collector that hangs would delay the end of each sync by 10 s."""


class TraceExport:
    """A tracer whose spans go to the collector that the environment names."""

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        """Set up the export; ``processor`` replaces the processor that exports to the collector."""
        self._provider = TracerProvider(resource=service_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(processor or BatchSpanProcessor(_exporter()))
        self.tracer = self._provider.get_tracer(INSTRUMENTATION, __version__)

    def flush(self) -> None:
        """Export the spans that have ended. Each request takes at most the export's timeout."""
        self._provider.force_flush()


def service_resource() -> Resource:
    """Return this process's attributes for telemetry; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES add to them."""
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "verifywise-mlflow"}
    return Resource.create({**named, "service.version": __version__, "service.instance.id": str(uuid.uuid4())})


def export_timeout(signal: str) -> float | None:
    """Return our timeout, in seconds; None if a variable sets one."""
    variables = ("OTEL_EXPORTER_OTLP_TIMEOUT", f"OTEL_EXPORTER_OTLP_{signal.upper()}_TIMEOUT")
    return None if any(os.environ.get(name) for name in variables) else EXPORT_TIMEOUT_S


def _exporter() -> OTLPSpanExporter:
    return OTLPSpanExporter(timeout=export_timeout("traces"))
