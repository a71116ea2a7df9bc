"""Log lines as JSON, for log collectors: ``VERIFYWISE_LOG_FORMAT=json``. Each names its tenant, sync, stage and trace.

Without that setting, logging stays as Python or Dagster configures it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

from verifywise_mlflow.observability.scope import current_scope

LOG_FORMAT: Final = "VERIFYWISE_LOG_FORMAT"
"""The environment variable; ``json`` is its only value."""
LOG_LEVEL: Final = "VERIFYWISE_LOG_LEVEL"
_FIELDS: Final = "verifywise_fields"


def fields(values: Mapping[str, object]) -> dict[str, object]:
    """Return the ``extra`` of a log call whose values become members of the line."""
    return {_FIELDS: values}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON in ASCII: no text can start another line or act on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its line break."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_scope_members(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class JsonHandler(logging.StreamHandler[TextIO]):
    """Writes to standard error: standard output belongs to a command's result."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(JsonFormatter())


def is_json_requested() -> bool:
    """Return whether the environment requests JSON."""
    return os.environ.get(LOG_FORMAT, "").strip().lower() == "json"


def install_json_logs() -> None:
    """Write all records of this process as JSON, if the environment requests it. Repeating it has no effect."""
    root = logging.getLogger()
    if not is_json_requested() or any(isinstance(handler, JsonHandler) for handler in root.handlers):
        return
    level = os.environ.get(LOG_LEVEL, "").strip().upper()
    root.addHandler(JsonHandler())
    root.setLevel(level if level in logging.getLevelNamesMapping() else logging.INFO)


def _scope_members() -> dict[str, object]:
    scope = current_scope.get()
    if scope is None:
        return {}
    members: dict[str, object] = {"tenant": scope.tenant_id, "sync_id": scope.sync_id}
    if scope.stage:
        members["stage"] = scope.stage
    if scope.span:
        context = scope.span.get_span_context()
        members["trace_id"], members["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return members
