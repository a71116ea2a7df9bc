"""Dagster delivers pending versions in addition to the syncs, and never delays a sync."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.run_queue.active_runs import recently_failed_tenants, tenants_in_flight
from verifywise_mlflow.defs.run_queue.queue_rules import is_delivery, missing_delivery_tags, missing_queue_tags
from verifywise_mlflow.defs.sensors.alerts import alerts
from verifywise_mlflow.defs.sensors.pending_deliveries import pending_deliveries
from verifywise_mlflow.demo.servers.verifywise_server.dialect import Dialect
from verifywise_mlflow.demo.servers.verifywise_server.server import VerifyWiseServer
from verifywise_mlflow_tests.delivery.verifywise.deliveries.delivering import Delivering
from verifywise_mlflow_tests.support.stored_states import NOON

pytestmark = pytest.mark.parametrize("delivering", [Dialect.B], indirect=True)


@pytest.fixture
def instance(
    delivering: Delivering, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    settings = delivering.tenant.model_dump(mode="json", include={"tracking_uri", "compliance", "delivery"})
    path = tmp_path / "tenants.yaml"
    path.write_text(yaml.safe_dump({"tenants": {"acme": settings}}))
    monkeypatch.setenv("VERIFYWISE_TENANTS", str(path))
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        yield instance


def tick(instance: dg.DagsterInstance) -> list[str]:
    """Evaluate the sensor; return the assets that it requests."""
    result = pending_deliveries(dg.build_sensor_context(instance=instance))
    if isinstance(result, dg.SkipReason):
        return []
    assert isinstance(result, dg.SensorResult)
    return [key.to_user_string() for request in result.run_requests or [] for key in request.asset_selection or []]


def run(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def("deliver_tenant")
    keys = [dg.AssetKey("verifywise_delivery")]
    return job.execute_in_process(instance=instance, partition_key="acme", asset_selection=keys, raise_on_error=False)


def test_the_sensor_requests_a_delivery_until_nothing_is_due(
    delivering: Delivering, instance: dg.DagsterInstance
) -> None:
    delivering.seed()
    first = tick(instance)

    result = run(instance)

    assert first == ["verifywise_delivery"]
    assert result.success
    assert tick(instance) == []
    assert len(delivering.entries()) == 1
    (event,) = [event for event in result.all_events if event.is_step_materialization]
    metadata = event.step_materialization_data.materialization.metadata
    assert (metadata["outcome"].value, metadata["create entry"].value) == ("delivered", 1)


def test_a_target_that_is_down_fails_a_check_and_no_run(
    delivering: Delivering, instance: dg.DagsterInstance, server: VerifyWiseServer
) -> None:
    delivering.seed()
    server.stop()
    try:
        result = run(instance)
    finally:
        server.start()

    (check,) = result.get_asset_check_evaluations()
    assert result.success
    assert (check.check_name, check.passed) == ("delivered", False)
    assert tick(instance) == []


def test_a_first_delivery_that_waits_raises_an_alert_and_its_end_resolves_it(
    delivering: Delivering, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    delivering.seed()
    delivering.deliver(confirm_above=0)
    context = dg.build_sensor_context(instance=instance)
    alerts(context)
    raised = [record.getMessage() for record in caplog.records if "delivery stuck" in record.getMessage()]
    caplog.clear()
    delivering.deliver(confirm_above=0, confirmed=True)

    alerts(dg.build_sensor_context(instance=instance, cursor=context.cursor))

    resolved = [record.getMessage() for record in caplog.records if "delivery stuck" in record.getMessage()]
    assert ["delivery stuck acme raised" in line and "--yes" in line for line in raised] == [True]
    assert ["delivery stuck acme resolved" in line for line in resolved] == [True]


def test_a_delivery_is_no_sync_of_its_tenant(delivering: Delivering, instance: dg.DagsterInstance) -> None:
    tags = {"dagster/partition": "acme"}
    started = dg.DagsterRun("deliver_tenant", status=dg.DagsterRunStatus.STARTED, tags=tags)
    failed = dg.DagsterRun("deliver_tenant", status=dg.DagsterRunStatus.FAILURE, tags=tags)
    instance.add_run(started)
    instance.add_run(failed)

    assert tenants_in_flight(instance) == set()
    assert recently_failed_tenants(instance, NOON) == set()
    assert tick(instance) == []  # one delivery of a tenant at a time


def test_the_queue_gives_deliveries_slots_of_their_own(delivering: Delivering) -> None:
    tags = {"dagster/partition": "acme"}

    assert is_delivery("deliver_tenant", [])
    assert is_delivery("__ASSET_JOB", ["verifywise_delivery"])
    assert not is_delivery("__ASSET_JOB", ["verifywise_delivery", "compliance_results"])
    assert not is_delivery("sync_tenant", [])
    assert missing_delivery_tags(tags) == {"dagster/priority": "10", "verifywise/delivery": "true"}
    assert missing_queue_tags(tags, "mlflow:443", is_slow=False)["verifywise/tenant"] == "acme"
