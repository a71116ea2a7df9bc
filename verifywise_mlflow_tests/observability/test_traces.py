"""A sync's spans, as a collector receives them."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.observability.otlp_receiver import OtlpReceiver, attributes, otlp_receiver
from verifywise_mlflow_tests.support.documentation import read_page
from verifywise_mlflow_tests.support.hostile_server import hostile_server, json_response, respond_with
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import requests, sync

SECRETIVE_NAME = "lynx-scoring-of-grace-hopper"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.uri)
        yield receiver


@pytest.fixture
def traced(registry: Registry, tenant: Tenant, store: Store, collector: OtlpReceiver) -> Sync:
    """A sync of a version with a run and files."""
    version = registry.trained_version(SECRETIVE_NAME)
    registry.client.set_model_version_tag(SECRETIVE_NAME, version.version, "owner", "Grace Hopper")
    return sync(tenant, store)


def children(spans: list[Span], parent: Span) -> list[Span]:
    return [span for span in spans if span.parent_span_id == parent.span_id]


def test_a_sync_is_one_trace_with_a_span_for_each_stage_and_each_request(traced: Sync, collector: OtlpReceiver) -> None:
    spans = collector.spans
    (root,) = [span for span in spans if span.name == "sync"]
    stages = children(spans, root)

    assert {span.trace_id for span in spans} == {root.trace_id}
    assert [span.name for span in stages] == [stage.value for stage in Stage]
    of_requests = [span for stage in stages for span in children(spans, stage)]
    assert len(of_requests) == requests(traced)
    assert len(spans) == 1 + len(Stage) + len(of_requests)
    assert attributes(root.attributes) == {
        "verifywise.tenant": "acme",
        "verifywise.sync_id": traced.sync_id,
        "verifywise.outcome": "complete",
        "verifywise.requests": requests(traced),
        "verifywise.bytes_read": sum(report.bytes_read for report in traced.reports),
    }


def test_the_span_of_a_stage_has_its_counts(traced: Sync, collector: OtlpReceiver) -> None:
    (span,) = [span for span in collector.spans if span.name == "model_versions"]
    report = next(report for report in traced.reports if report.stage is Stage.MODEL_VERSIONS)

    assert attributes(span.attributes) == {
        "verifywise.tenant": "acme",
        "verifywise.stage": "model_versions",
        "verifywise.read": 1,
        "verifywise.changed": 1,
        "verifywise.removed": 0,
        "verifywise.incomplete": 0,
        "verifywise.requests": report.requests,
        "verifywise.bytes_read": report.bytes_read,
    }


def test_the_span_of_a_request_has_its_route_and_status(traced: Sync, collector: OtlpReceiver) -> None:
    span = next(span for span in collector.spans if "model-versions/search" in span.name)

    assert span.kind == Span.SPAN_KIND_CLIENT
    assert attributes(span.attributes) == {
        "verifywise.tenant": "acme",
        "http.request.method": "GET",
        "url.template": "/api/2.0/mlflow/model-versions/search",
        "http.response.status_code": 200,
    }


def test_no_value_of_a_customer_is_exported(traced: Sync, collector: OtlpReceiver, tenant: Tenant) -> None:
    exported = b"".join(request.SerializeToString() for request in collector.traces)
    values = [SECRETIVE_NAME, "Grace Hopper", "accuracy", tenant.tracking_uri, tenant.workspace or "", "127.0.0.1"]

    assert collector.spans
    assert [value for value in values if value.encode() in exported] == []


def test_every_attribute_is_documented(traced: Sync, collector: OtlpReceiver) -> None:
    page = read_page("how-to/observe.md")
    used = {name for span in collector.spans for name in attributes(span.attributes)} | set(collector.resource)

    assert [name for name in sorted(used) if f"`{name}`" not in page] == []


def test_the_exporting_process_names_the_service_and_its_version(traced: Sync, collector: OtlpReceiver) -> None:
    assert collector.resource["service.name"] == "verifywise-mlflow"
    assert "service.version" in collector.resource


def test_a_failure_is_recorded_by_its_type_only(tenant: Tenant, store: Store, collector: OtlpReceiver) -> None:
    script = respond_with(json_response({"message": f"no access to {SECRETIVE_NAME}"}, 403))
    with hostile_server(script) as server:
        failing = tenant.model_copy(update={"tracking_uri": server.uri})
        with pytest.raises(HttpError, match=SECRETIVE_NAME):
            sync(failing, store)

    failed = [span for span in collector.spans if span.status.code == Status.STATUS_CODE_ERROR]
    assert {span.name for span in failed} >= {"sync", "registered_models"}
    stage = next(span for span in failed if span.name == "registered_models")
    assert attributes(stage.attributes)["error.type"] == "ForbiddenError"
    assert SECRETIVE_NAME not in str(failed)


def test_a_collector_that_hangs_holds_up_a_sync_by_seconds_only(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        run = Sync(tenant, store)
        with run:
            run.run_all()
            ended_at = time.monotonic()

    assert time.monotonic() - ended_at < 4


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "set it to http/protobuf"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "set it to otlp or none"),
    ],
)
def test_settings_that_cannot_be_used_are_named_and_export_nothing(
    variables: dict[str, str],
    sentence: str,
    tenant: Tenant,
    registry: Registry,
    store: Store,
    collector: OtlpReceiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with caplog.at_level(logging.WARNING):
        sync(tenant, store)

    assert sentence in caplog.text
    assert collector.traces == []


@pytest.mark.parametrize("variables", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_the_standard_switches_turn_traces_off(
    variables: dict[str, str],
    tenant: Tenant,
    registry: Registry,
    store: Store,
    collector: OtlpReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    sync(tenant, store)

    assert collector.traces == []


def test_files_read_by_other_threads_belong_to_the_same_trace(
    registry: Registry, tenant: Tenant, store: Store, collector: OtlpReceiver
) -> None:
    for number in range(4):
        registry.trained_version(f"model-{number}")
    sync(tenant, store)

    files = [span for span in collector.spans if "artifact" in span.name and span.kind == Span.SPAN_KIND_CLIENT]
    (stage,) = [span for span in collector.spans if span.name == "artifact_manifests"]
    assert files
    assert {span.parent_span_id for span in files} == {stage.span_id}


def test_processes_that_are_forked_for_runs_find_the_sdk_imported(collector: OtlpReceiver) -> None:
    program = "import sys, verifywise_mlflow.run_process_template; print('opentelemetry.sdk.trace' in sys.modules)"

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert printed == "True\n"
