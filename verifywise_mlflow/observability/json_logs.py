"""JSON log lines for log collectors: ``VERIFYWISE_LOG_FORMAT=json``. Each line names its tenant, sync, stage and trace.

Without that setting, logging stays as Python or Dagster configures it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from verifywise_mlflow.observability.scope import SyncScope, current_scope, scope_of_run

LOG_FORMAT: Final = "VERIFYWISE_LOG_FORMAT"
"""The environment variable that requests JSON; ``json`` is its only value."""
LOG_LEVEL: Final = "VERIFYWISE_LOG_LEVEL"
_FIELDS: Final = "verifywise_fields"
_WITH_CONSOLE: Final = ("dagster", "dagster-webserver", "uvicorn", "uvicorn.access")
"""The loggers to which Dagster's commands and its web server add handlers for the console when they start."""
_TENANT_TAG: Final = "dagster/partition"


def fields(values: Mapping[str, object]) -> dict[str, object]:
    """Return the ``extra`` of a log call whose values become members of the line."""
    return {_FIELDS: values}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON in ASCII: no text in it can begin another line or control a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its line break."""
        run = _RunRecord.of(record)
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": run.message if run else record.getMessage(),
            **(run.members() if run else {}),
            **_scope_members(current_scope.get() or (run.scope() if run else None)),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _RunRecord:
    """The message of a record that Dagster logs about a run, and where in the run it was logged.

    The record's own text repeats the job, the run and the step before the message.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata
        self.message = str(metadata.get("orig_message") or "")

    @classmethod
    def of(cls, record: logging.LogRecord) -> _RunRecord | None:
        metadata = getattr(record, "dagster_meta", None)
        return cls(metadata) if isinstance(metadata, Mapping) and metadata.get("run_id") else None

    def members(self) -> dict[str, object]:
        event = self._metadata.get("dagster_event")
        error = getattr(getattr(event, "event_specific_data", None), "error", None)
        members = {
            "tenant": (self._metadata.get("job_tags") or {}).get(_TENANT_TAG),
            "dagster_run_id": self._metadata["run_id"],
            "job": self._metadata.get("job_name"),
            "step": self._metadata.get("step_key"),
            "event": getattr(event, "event_type_value", "").replace("PIPELINE_", "RUN_"),  # as Dagster's pages call it
            "exception": error.to_string() if error else None,
        }
        return {name: value for name, value in members.items() if value}

    def scope(self) -> SyncScope | None:
        return scope_of_run(self._metadata["run_id"])


class JsonHandler(logging.StreamHandler[TextIO]):
    """Writes to standard error: standard output belongs to a command's result."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(JsonFormatter())


def is_json_requested(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether the environment requests JSON."""
    return environment.get(LOG_FORMAT, "").strip().lower() == "json"


def install_json_logs() -> None:
    """Write all records of this process as JSON if the environment requests it. A second call has no effect."""
    root = logging.getLogger()
    if not is_json_requested() or any(isinstance(handler, JsonHandler) for handler in root.handlers):
        return
    level = os.environ.get(LOG_LEVEL, "").strip().upper()
    root.addHandler(JsonHandler())
    root.setLevel(level if level in logging.getLevelNamesMapping() else logging.INFO)
    logging.captureWarnings(capture=True)
    for name in _WITH_CONSOLE:
        _format_console_of(logging.getLogger(name))


def _format_console_of(logger: logging.Logger) -> None:
    """Make the console handlers of a logger write JSON: its present handlers, and handlers that are added later.

    A command of Dagster may configure its loggers before our code is loaded or after.
    """
    add = logger.addHandler

    def add_formatted(hdlr: logging.Handler) -> None:  # the parameter's name is Python's
        if isinstance(hdlr, logging.StreamHandler) and hdlr.stream in (sys.stdout, sys.stderr):
            hdlr.setFormatter(JsonFormatter())
            logger.propagate = False  # the root's handler would write the record again
        add(hdlr)

    for handler in logger.handlers:
        add_formatted(handler)
    logger.addHandler = add_formatted  # type: ignore[method-assign]  # of this logger only


def _scope_members(scope: SyncScope | None) -> dict[str, object]:
    if scope is None:
        return {}
    members: dict[str, object] = {"tenant": scope.tenant_id, "sync_id": scope.sync_id}
    if scope.stage:
        members["stage"] = scope.stage
    if scope.span:
        context = scope.span.get_span_context()
        members["trace_id"], members["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return members
