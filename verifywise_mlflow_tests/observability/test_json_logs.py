"""Log lines as JSON, in processes of their own, as an operator collects them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.observability.json_logs import JsonFormatter
from verifywise_mlflow.observability.scope import SyncScope, current_scope
from verifywise_mlflow_tests.defs.production import production_instance
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
    assert lines[-1]["outcome"] == "incomplete"  # the instance has its files elsewhere
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


DAGSTER_COMMAND = """
import logging, warnings
from dagster._utils.log import configure_loggers
from verifywise_mlflow.observability.json_logs import install_json_logs

{start}
logging.getLogger("dagster.daemon.SensorDaemon").info("checking 3 sensors")
logging.getLogger("verifywise_mlflow.defs.run_queue").warning("a tenant is slow")
warnings.warn("it is beta")
"""


@pytest.mark.parametrize(
    "start", ["configure_loggers(); install_json_logs()", "install_json_logs(); configure_loggers()"]
)
def test_a_command_of_dagster_writes_each_line_once_and_as_json(start: str) -> None:
    command = [sys.executable, "-c", DAGSTER_COMMAND.format(start=start)]
    environment = {**os.environ, "VERIFYWISE_LOG_FORMAT": "json"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)

    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]

    assert sorted(line["message"].partition("\n")[0] for line in lines) == [
        "<string>:9: UserWarning: it is beta",
        "a tenant is slow",
        "checking 3 sensors",
    ]


RUN = """
import sys
import dagster as dg
from verifywise_mlflow.definitions import defs

job = defs.resolve_job_def("sync_tenant")
with dg.DagsterInstance.get() as instance:
    job.execute_in_process(instance=instance, partition_key=sys.argv[1], raise_on_error=False)
"""


@pytest.fixture
def run_sync(tmp_path: Path, tenants_file: Path) -> Callable[..., list[dict[str, object]]]:
    """Execute a run of Dagster in a process of its own; return its lines."""

    def run(tenant: str, **variables: str) -> list[dict[str, object]]:
        with production_instance(tmp_path / "home", {"VERIFYWISE_LOG_LEVEL": "DEBUG"}, in_sqlite=True) as instance:
            instance.add_dynamic_partitions("tenants", [tenant])
        command = [sys.executable, "-c", RUN, tenant]
        environment = {**os.environ, "DAGSTER_HOME": str(tmp_path / "home"), "VERIFYWISE_LOG_FORMAT": "json"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**environment, **variables})
        return [json.loads(line) for line in done.stderr.splitlines()]

    return run


def test_each_line_of_a_run_names_the_tenant_and_once_it_started_the_sync_and_the_trace(
    registry: Registry, run_sync: Callable[..., list[dict[str, object]]]
) -> None:
    registry.version("churn")
    with otlp_receiver() as collector:
        lines = run_sync("acme", OTEL_EXPORTER_OTLP_ENDPOINT=collector.uri)

    of_run = [line for line in lines if "dagster_run_id" in line]
    (started,) = [line for line in lines if line["message"] == "sync started"]
    after = of_run[of_run.index(started) :]
    assert {line["tenant"] for line in of_run} == {"acme"}
    assert {line["sync_id"] for line in after} == {started["sync_id"]}
    assert {line["trace_id"] for line in after} == {started["trace_id"]}
    assert {"RUN_START", "STEP_START", "STEP_SUCCESS", "RUN_SUCCESS"} <= {line.get("event") for line in of_run}
    assert {line["step"] for line in after if line.get("event") == "STEP_SUCCESS"} == {*Stage}


def test_a_step_that_fails_logs_its_error_in_the_same_line(run_sync: Callable[..., list[dict[str, object]]]) -> None:
    lines = run_sync("nobody")

    (failure,) = [line for line in lines if line.get("event") == "STEP_FAILURE"]
    assert failure["tenant"] == "nobody"
    assert "tenant nobody is not in tenants.yaml" in str(failure["exception"])


def test_a_failure_logs_its_traceback_in_the_same_line() -> None:
    try:
        int("wrong")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())

    assert "ValueError: invalid literal" in json.loads(JsonFormatter().format(record))["exception"]
