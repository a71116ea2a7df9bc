"""Log lines as JSON, in processes of their own, as an operator collects them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from verifywise_mlflow.observability.json_logs import JsonFormatter
from verifywise_mlflow.observability.scope import SyncScope, current_scope
from verifywise_mlflow_tests.observability.otlp_receiver import otlp_receiver
from verifywise_mlflow_tests.support.registry import Registry

COMMAND = [sys.executable, "-m", "verifywise_mlflow.cli", "sync", "acme", "--json"]


def lines_of_a_sync(**variables: str) -> list[dict[str, object]]:
    environment = {**os.environ, **variables}
    process = subprocess.run(COMMAND, capture_output=True, text=True, check=True, env=environment)
    json.loads(process.stdout)  # the command's own result, and nothing else
    return [json.loads(line) for line in process.stderr.splitlines()]


def test_each_line_of_a_sync_names_the_tenant_the_sync_and_the_trace(registry: Registry, tenants_file: Path) -> None:
    registry.version("churn")
    with otlp_receiver() as collector:
        lines = lines_of_a_sync(VERIFYWISE_LOG_FORMAT="json", OTEL_EXPORTER_OTLP_ENDPOINT=collector.uri)

    assert [line["message"] for line in lines] == ["sync started", *["stage ended"] * 6, "sync ended"]
    assert {line["tenant"] for line in lines} == {"acme"}
    assert len({line["sync_id"] for line in lines}) == 1
    (root,) = [span for span in collector.spans if span.name == "sync"]
    assert {line["trace_id"] for line in lines} == {root.trace_id.hex()}
    assert [line.get("stage") for line in lines][1:3] == ["registered_models", "model_versions"]
    assert lines[-1]["outcome"] == "incomplete"  # its files are elsewhere
    assert isinstance(lines[-1]["requests"], int)


def test_without_the_setting_a_sync_logs_nothing(registry: Registry, tenants_file: Path) -> None:
    assert lines_of_a_sync() == []


def test_a_line_is_one_line_whatever_the_message_holds() -> None:
    record = logging.LogRecord("connector", logging.WARNING, "", 0, "tag %s", ('a\n{"level": "info"}\x1b[31m',), None)

    line = JsonFormatter().format(record)

    assert line.isprintable()
    assert json.loads(line)["message"] == 'tag a\n{"level": "info"}\x1b[31m'


def test_records_of_libraries_within_a_sync_name_its_tenant() -> None:
    record = logging.LogRecord("urllib3", logging.WARNING, "", 0, "slow", (), None)

    reset = current_scope.set(SyncScope("acme", "sync-1", "training_runs"))
    try:
        line = json.loads(JsonFormatter().format(record))
    finally:
        current_scope.reset(reset)

    assert (line["tenant"], line["sync_id"], line["stage"]) == ("acme", "sync-1", "training_runs")


def test_a_failure_logs_its_traceback_in_the_same_line() -> None:
    try:
        int("wrong")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())

    assert "ValueError: invalid literal" in json.loads(JsonFormatter().format(record))["exception"]
