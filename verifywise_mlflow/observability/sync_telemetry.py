"""The spans and log records of one sync: its start, its stages, its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from verifywise_mlflow.observability.json_logs import fields
from verifywise_mlflow.observability.scope import SyncScope, current_scope, remember_run
from verifywise_mlflow.observability.tracing import flush_traces, mark_failed, parent_context, tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_logger = logging.getLogger(__name__)

_STAGE_COUNTS: Final = ("read", "changed", "removed", "incomplete", "requests", "bytes_read")
"""The counts of a stage's report that a span carries: numbers only. The report's notes may quote names."""


class SyncTelemetry:
    """Traces and logs one sync. It does nothing while traces are off and logging is not configured."""

    def __init__(self, tenant_id: str, sync_id: str, dagster_run_id: str | None) -> None:
        """Store the identity of the sync; nothing is recorded yet."""
        self._scope = SyncScope(tenant_id, sync_id)
        self._dagster_run_id = dagster_run_id
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the sync started."""
        return time.monotonic() - self._started

    def start(self) -> None:
        """Begin the sync's span."""
        self._started = time.monotonic()
        if used := tracer():
            attributes = {"verifywise.tenant": self._scope.tenant_id, "verifywise.sync_id": self._scope.sync_id}
            if self._dagster_run_id:
                attributes["verifywise.dagster_run_id"] = self._dagster_run_id
            # The span is not made the current span of the context: a Dagster run enters and leaves a sync in different
            # contexts.
            self._scope = replace(
                self._scope, span=used.start_span("sync", parent_context(None), attributes=attributes), tracer=used
            )
        if self._dagster_run_id:
            remember_run(self._dagster_run_id, self._scope)
        self._log(self._scope, "sync started", {"dagster_run_id": self._dagster_run_id} if self._dagster_run_id else {})

    @contextmanager
    def stage(self, stage: str) -> Iterator[Callable[[Mapping[str, object]], None]]:
        """Trace a stage; yield a callback for the counts of its report."""
        span = self._start_stage(stage)
        scope = replace(self._scope, stage=stage, span=span or self._scope.span)
        reset = current_scope.set(scope)
        counted: dict[str, int] = {}
        started = time.monotonic()
        try:
            yield lambda counts: counted.update(_numbers(counts))
        except BaseException as error:
            if span:
                mark_failed(span, error)
            self._log(scope, "stage failed", {"error_type": type(error).__name__}, logging.WARNING)
            raise
        else:
            if span:
                span.set_attributes({f"verifywise.{name}": count for name, count in counted.items()})
            self._log(scope, "stage ended", {"seconds": round(time.monotonic() - started, 3), **counted})
        finally:
            current_scope.reset(reset)
            if span:
                span.end()

    def end(self, outcome: str, counts: Mapping[str, object]) -> None:
        """End the sync's span, and export all spans."""
        totals = _numbers(counts)
        self._log(self._scope, "sync ended", {"outcome": outcome, "seconds": round(self.seconds, 3), **totals})
        if span := self._scope.span:
            from opentelemetry.trace import StatusCode

            span.set_attribute("verifywise.outcome", outcome)
            span.set_attributes({f"verifywise.{name}": count for name, count in totals.items()})
            if outcome == "failed":
                span.set_status(StatusCode.ERROR)
            span.end()
            flush_traces()

    def _start_stage(self, stage: str) -> Span | None:
        if self._scope.tracer is None:
            return None
        attributes = {"verifywise.tenant": self._scope.tenant_id, "verifywise.stage": stage}
        return self._scope.tracer.start_span(stage, parent_context(self._scope.span), attributes=attributes)

    def _log(self, scope: SyncScope, event: str, values: Mapping[str, object], level: int = logging.INFO) -> None:
        if not _logger.isEnabledFor(logging.INFO):  # without configured logging, Python would still print warnings
            return
        reset = current_scope.set(scope)
        try:
            _logger.log(level, event, extra=fields(values))
        finally:
            current_scope.reset(reset)


def _numbers(counts: Mapping[str, object]) -> dict[str, int]:
    values = ((name, counts.get(name)) for name in _STAGE_COUNTS)
    return {name: value for name, value in values if isinstance(value, int)}
