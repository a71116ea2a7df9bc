"""The metrics of real syncs in a real database, as Prometheus and a collector receive them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin  # queued runs need one
from prometheus_client.parser import text_string_to_metric_families

from verifywise_mlflow.defs.run_queue.queue_reading import queue_state
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.services.metrics.catalog import METRICS, exposed_names
from verifywise_mlflow.services.metrics.collector import MetricsCollector, QueueUnreadableError
from verifywise_mlflow.services.metrics.otlp import MetricsPush
from verifywise_mlflow.services.metrics.prometheus import exposition
from verifywise_mlflow.services.metrics.queue_state import QueueState
from verifywise_mlflow.tenants.delivery.settings import Delivery
from verifywise_mlflow.tenants.mlflow_webhooks import Webhooks
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.observability.otlp_receiver import attributes, otlp_receiver
from verifywise_mlflow_tests.support.documentation import read_page
from verifywise_mlflow_tests.support.hostile_server import (
    HostileServer,
    ReceivedRequest,
    hostile_server,
    make_response,
)
from verifywise_mlflow_tests.support.login_roles import execute, login_role, new_name
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import requests, sync

Sample = tuple[str, tuple[tuple[str, str], ...]]

ORIGIN = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("code"), "all").get_job_origin("sync_tenant")
RUN_ENQUEUED, RUN_START = dg.DagsterEventType.RUN_ENQUEUED, dg.DagsterEventType.RUN_START
QUEUE = QueueState({"queued": 3, "started": 2}, 61.5, {"SENSOR": True, "BACKFILL": False})


def scraped(collector: MetricsCollector) -> dict[Sample, float]:
    return parsed(exposition(collector))


def parsed(text: str) -> dict[Sample, float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Mapping[Sample, float], name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_gauges_are_what_the_database_holds(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.trained_version("churn")
    sync(tenant, store)
    now, an_hour_later = datetime.now(UTC), datetime.now(UTC) + timedelta(hours=1)
    receive_webhook(store, now)
    tenant = connected(tenant)
    collector = MetricsCollector(store, lambda: {"acme": tenant}, now=lambda: an_hour_later)

    collector.read()
    samples = scraped(collector)

    assert 3590 < value(samples, "verifywise_lag_seconds", tenant="acme", stage="model_versions") < 3700
    assert value(samples, "verifywise_stale", tenant="acme") == 0
    assert value(samples, "verifywise_last_sync_outcome", tenant="acme", outcome="complete") == 1
    badges = [number for (name, _), number in samples.items() if name == "verifywise_versions"]
    assert sorted(badges) == [0, 0, 0, 0, 1]
    gaps = [number for (name, _), number in samples.items() if name == "verifywise_open_gaps"]
    assert len(gaps) == 4
    assert sum(gaps) > 0
    assert 0 <= value(samples, "verifywise_compliance_score", tenant="acme") <= 100
    assert value(samples, "verifywise_change_hints_pending", tenant="acme") == 1
    assert 3590 < value(samples, "verifywise_change_hints_oldest_seconds", tenant="acme") < 3700
    last = value(samples, "verifywise_webhook_last_delivery_timestamp_seconds", tenant="acme")
    assert last == pytest.approx(now.timestamp())


def test_counters_count_the_syncs_since_the_first_reading(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.trained_version("churn")
    sync(tenant, store)
    collector = MetricsCollector(store, lambda: {"acme": tenant})
    collector.read()
    before = scraped(collector)

    second, third = sync(tenant, store), sync(tenant, store)
    collector.read()
    collector.read()  # a second reading counts nothing twice
    after = scraped(collector)

    assert value(before, "verifywise_syncs_total", tenant="acme", outcome="complete") == 0
    assert value(after, "verifywise_syncs_total", tenant="acme", outcome="complete") == 2
    assert value(after, "verifywise_sync_requests_total", tenant="acme") == requests(second) + requests(third)
    assert value(after, "verifywise_sync_bytes_read_total", tenant="acme") > 0
    assert value(after, "verifywise_sync_duration_seconds_count", outcome="complete") == 2
    assert value(after, "verifywise_sync_duration_seconds_bucket", outcome="complete", le="+Inf") == 2
    assert value(after, "verifywise_last_sync_duration_seconds", tenant="acme") > 0


def test_the_last_sync_is_one_of_the_whole_registry(registry: Registry, tenant: Tenant, store: Store) -> None:
    version = HintedObject(ObjectKind.MODEL, "churn", 1)
    registry.trained_version("churn")
    sync(tenant, store)
    collector = MetricsCollector(store, lambda: {"acme": tenant})
    collector.read()
    of_registry = scraped(collector)

    sync(tenant, store, SyncOptions(only=(version,)))
    unreachable = tenant.model_copy(update={"tracking_uri": "http://127.0.0.1:9"})
    with pytest.raises(HttpError):
        sync(unreachable, store, SyncOptions(only=(version,)))
    collector.read()
    samples = scraped(collector)

    for name in ("verifywise_last_sync_timestamp_seconds", "verifywise_last_sync_duration_seconds"):
        assert value(samples, name, tenant="acme") == value(of_registry, name, tenant="acme")
    assert value(samples, "verifywise_last_sync_outcome", tenant="acme", outcome="complete") == 1
    for outcome in ("complete", "failed"):
        assert value(samples, "verifywise_syncs_total", tenant="acme", outcome=outcome) == 1


def test_an_open_circuit_breaker_shows_after_the_sync(tenant: Tenant, store: Store, registry: Registry) -> None:
    collector = MetricsCollector(store, lambda: {"acme": tenant})
    sync(tenant, store)
    collector.read()
    limits = replace(tenant.limits, max_attempts=1, breaker_threshold=1)

    def dies_after_the_first_requests(_server: HostileServer, request: ReceivedRequest) -> bytes:
        if request.target.endswith("/server-info"):
            return make_response(status=404)  # as before MLflow 3.17
        is_version = request.target.endswith("/version")
        return make_response("3.16.0", content_type="text/plain") if is_version else make_response("busy", 503)

    with hostile_server(dies_after_the_first_requests) as server:
        dying = tenant.model_copy(update={"tracking_uri": server.uri, "workspace": None, "limits": limits})
        with pytest.raises(HttpError):
            sync(dying, store)
    collector.read()
    samples = scraped(collector)

    assert value(samples, "verifywise_circuit_breaker_open", tenant="acme") == 1
    assert value(samples, "verifywise_circuit_breaker_openings_total", tenant="acme") == 1
    assert value(samples, "verifywise_last_sync_outcome", tenant="acme", outcome="failed") == 1


def test_a_tenant_before_its_first_sync_has_no_values_of_its_own(tenant: Tenant, store: Store) -> None:
    collector = MetricsCollector(store, lambda: {"acme": tenant})
    collector.read()

    assert {name for name, labels in scraped(collector) if ("tenant", "acme") in labels} == {
        "verifywise_tenant_failed",
        "verifywise_syncs_total",
        "verifywise_sync_requests_total",
        "verifywise_sync_bytes_read_total",
        "verifywise_sync_incomplete_total",
        "verifywise_circuit_breaker_openings_total",
    }


def test_a_tenant_whose_policies_are_invalid_does_not_hide_the_others(
    registry: Registry, tenant: Tenant, store: Store, tmp_path: Path
) -> None:
    sync(tenant, store)
    broken_policy = tmp_path / "policy.yaml"
    broken_policy.write_text("rules: 1\n")
    compliance = tenant.compliance.model_copy(update={"policies": (broken_policy,)})
    other = tenant.model_copy(update={"tenant_id": "globex", "compliance": compliance})
    sync(other.model_copy(update={"compliance": tenant.compliance}), store)
    collector = MetricsCollector(store, lambda: {"globex": other, "acme": tenant})

    collector.read()
    samples = scraped(collector)

    assert value(samples, "verifywise_tenant_failed", tenant="globex") == 1
    assert value(samples, "verifywise_tenant_failed", tenant="acme") == 0
    assert value(samples, "verifywise_stale", tenant="acme") == 0


def test_a_source_that_cannot_be_read_is_a_metric(tenant: Tenant, store: Store) -> None:
    def unreadable() -> QueueState:
        raise QueueUnreadableError("no instance")

    collector = MetricsCollector(store, lambda: {"acme": tenant}, unreadable)
    collector.read()
    samples = scraped(collector)

    assert value(samples, "verifywise_collection_failed", source="dagster") == 1
    assert value(samples, "verifywise_collection_failed", source="database") == 0
    assert ("verifywise_run_queue", (("status", "queued"),)) not in samples


def test_a_database_that_is_lost_keeps_the_counters_and_is_a_metric(
    registry: Registry, tenant: Tenant, store: Store, database_url: str
) -> None:
    with login_role(database_url, new_name("metrics")) as role:
        with store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "pipeline", None, datetime.now(UTC))
        with Store(role.url) as own_store:
            sync(tenant, store)
            collector = MetricsCollector(own_store, lambda: {"acme": tenant})
            collector.read()
            sync(tenant, store)
            collector.read()
            execute(
                database_url,
                f"ALTER ROLE {role.name} NOLOGIN",
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role.name}'",
            )
            collector.read()
            samples = scraped(collector)

    assert value(samples, "verifywise_collection_failed", source="database") == 1
    assert value(samples, "verifywise_syncs_total", tenant="acme", outcome="complete") == 1
    assert ("verifywise_stale", (("tenant", "acme"),)) not in samples


def test_the_run_queue_and_the_daemons_of_a_real_instance_are_read() -> None:
    with dg.instance_for_test() as instance:
        for event in (RUN_ENQUEUED, RUN_ENQUEUED, RUN_START):
            run = instance.add_run(dg.DagsterRun("sync_tenant", remote_job_origin=ORIGIN))
            instance.report_dagster_event(dg.DagsterEvent(event.value, "sync_tenant"), run.run_id)

        state = queue_state(instance, datetime.now(UTC).timestamp() + 30)

    assert state.runs == {"queued": 2, "not_started": 0, "starting": 0, "started": 1, "canceling": 0}
    assert 30 <= state.oldest_queued_seconds < 60
    assert state.daemons["SENSOR"] is False  # no daemon runs


def connected(tenant: Tenant) -> Tenant:
    """Return the tenant with a target of deliveries, which no sync contacts, and with webhooks."""
    target = {"url": "https://governance.example.com", "auth": {"kind": "token", "token": "env:VW_TOKEN"}}
    return tenant.model_copy(
        update={
            "delivery": Delivery.model_validate({"verifywise": target}),
            "webhooks": Webhooks.model_validate({"path": "env:WEBHOOK_PATH", "secret": "env:WEBHOOK_SECRET"}),
        }
    )


def receive_webhook(store: Store, now: datetime) -> None:
    with store.begin("acme") as session:
        change_hints.record(session, [HintedObject(ObjectKind.MODEL, "churn")], now)
        change_hints.record_delivery(session, now, is_event=True)


def every_sample(registry: Registry, tenant: Tenant, store: Store) -> dict[Sample, float]:
    registry.version("churn")
    tenant = connected(tenant)
    sync(tenant, store)
    collector = MetricsCollector(store, lambda: {"acme": tenant}, lambda: QUEUE)
    collector.read()
    sync(tenant, store)
    receive_webhook(store, datetime.now(UTC))
    collector.read()
    return scraped(collector)


def test_every_metric_of_the_catalog_is_served_with_its_labels_and_no_other(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    served: dict[str, set[str]] = {}
    for name, labels in every_sample(registry, tenant, store):
        served.setdefault(name, set()).update(label for label, _ in labels if label != "le")

    expected = {name: set(metric.labels) for metric in METRICS.values() for name in exposed_names(metric)}
    assert served == expected


def test_the_page_lists_every_metric_with_its_labels() -> None:
    rows = dict(
        re.findall(r"^\| `(verifywise_\w+)` \| \w+ \| ([^|]*) \|", read_page("how-to/observe.md"), re.MULTILINE)
    )

    assert {name: re.findall(r"`(\w+)`", labels) for name, labels in rows.items()} == {
        exposed_names(metric)[0].removesuffix("_bucket"): list(metric.labels) for metric in METRICS.values()
    }


def test_a_collector_receives_the_same_values(
    registry: Registry, tenant: Tenant, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with otlp_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.uri)
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
        tenant = connected(tenant)
        sync(tenant, store)
        collector = MetricsCollector(store, lambda: {"acme": tenant}, lambda: QUEUE)
        push = MetricsPush(collector)
        collector.read()
        sync(tenant, store)
        receive_webhook(store, datetime.now(UTC))
        collector.read()
        push.close()

    pushed = {
        metric.name: metric
        for request in receiver.metrics
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert set(pushed) == set(METRICS) - {"verifywise_compliance_score"}  # no version: no score
    queued = [
        point
        for point in pushed["verifywise_run_queue"].gauge.data_points
        if attributes(point.attributes) == {"status": "queued"}
    ]
    assert [point.as_double or point.as_int for point in queued] == [3]
    assert pushed["verifywise_sync_duration_seconds"].histogram.data_points[0].count == 1


def test_the_command_serves_on_loopback_until_it_is_stopped(tenants_file: Path, tenant: Tenant, store: Store) -> None:
    sync_once = [sys.executable, "-m", "verifywise_mlflow.cli", "metrics", "--port", "0"]
    with subprocess.Popen(sync_once, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stderr
        line = process.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert address, line
        with urlopen(f"{address[0]}/metrics") as response:  # ours, on loopback
            samples = parsed(response.read().decode())
        with urlopen(f"{address[0]}/healthy") as response:
            assert response.status == 200
        process.send_signal(signal.SIGTERM)
        process.wait(20)

    assert value(samples, "verifywise_collection_failed", source="database") == 0
    assert process.returncode == 130


def test_the_command_can_print_the_metrics_once(tenants_file: Path, registry: Registry) -> None:
    command = [sys.executable, "-m", "verifywise_mlflow.cli", "metrics", "--once"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ)).stdout

    assert value(parsed(printed), "verifywise_collection_failed", source="database") == 0
