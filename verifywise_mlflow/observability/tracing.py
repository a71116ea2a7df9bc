"""The tracer of this process. It exists only if OTEL_* variables request traces. Otherwise the SDK is not imported.

Spans carry no customer's values: no names of models or people, no URL, no message of an error. docs/how-to/observe.md
lists their attributes, and a test compares the list with an exported sync.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from verifywise_mlflow.observability.export_settings import export_problem, is_exported
from verifywise_mlflow.observability.scope import current_scope

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

    from verifywise_mlflow.observability.sdk import TraceExport

MISSING_SDK: Final = (
    "OTEL_* variables request telemetry, but the OpenTelemetry SDK is not installed, so none is exported: "
    "install verifywise-mlflow[otel]"
)
_logger = logging.getLogger(__name__)


def tracer() -> Tracer | None:
    """Return the tracer; None if traces are off or cannot be exported, which is logged once."""
    export = _configured_export()
    return export.tracer if export else None


def preload_tracing() -> None:
    """Import the SDK if traces are on, for processes that are forked from this process. No thread is started."""
    if is_exported("traces", os.environ):
        with suppress(ImportError):  # the first sync reports it
            import verifywise_mlflow.observability.sdk  # noqa: F401


def flush_traces() -> None:
    """Export the spans that have ended. A process that runs one sync may end without Python's exit handlers."""
    if export := _configured_export():
        export.flush()


def _configured_export() -> TraceExport | None:
    if not any(name.startswith("OTEL_") for name in os.environ):  # nearly always
        return None
    # The export is cached for each process, since an exporting thread does not survive a fork.
    return _export(os.getpid(), tuple(sorted(item for item in os.environ.items() if item[0].startswith("OTEL_"))))


@lru_cache(maxsize=4)
def _export(_process: int, environment: tuple[tuple[str, str], ...]) -> TraceExport | None:
    settings = dict(environment)
    if problem := export_problem("traces", settings):
        _logger.warning("%s. No traces are exported", problem)
    if not is_exported("traces", settings):
        return None
    try:
        from verifywise_mlflow.observability.sdk import TraceExport
    except ImportError:
        _logger.warning(MISSING_SDK)
        return None
    return TraceExport()


class RequestSpan:
    """The span of a request that is being sent; without traces, it records nothing."""

    __slots__ = ("_span",)

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def responded(self, status: int) -> None:
        """Record the response's status."""
        if self._span:
            self._span.set_attribute("http.response.status_code", status)


_NO_SPAN: Final = RequestSpan(None)


@contextmanager
def request_span(method: str, route: str) -> Iterator[RequestSpan]:
    """Trace one attempt of a request, from its sending to the end of its response.

    Args:
        method: The HTTP method, such as ``GET``.
        route: The template of the URL's path, without its values; empty if there is none.
    """
    scope = current_scope.get()
    if scope is None or scope.tracer is None:
        yield _NO_SPAN
        return
    from opentelemetry.trace import SpanKind

    attributes = {"http.request.method": method, "verifywise.tenant": scope.tenant_id}
    if route:
        attributes["url.template"] = route
    name = f"{method} {route}".strip()
    span = scope.tracer.start_span(name, parent_context(scope.span), SpanKind.CLIENT, attributes)
    try:
        yield RequestSpan(span)
    except BaseException as error:
        mark_failed(span, error)
        raise
    finally:
        span.end()


def parent_context(span: Span | None) -> Context:
    """Return the context in which a span is the parent; without a span, a new trace begins."""
    from opentelemetry.context import Context
    from opentelemetry.trace import set_span_in_context

    return set_span_in_context(span, Context()) if span else Context()


def mark_failed(span: Span, error: BaseException) -> None:
    """Record that the traced work failed: the error's type, never its message, which may quote anything."""
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", type(error).__name__)
    span.set_status(StatusCode.ERROR)
