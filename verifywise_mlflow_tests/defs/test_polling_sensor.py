"""What asks for a sync, and when: the sensors that look at a real server, and the schedules that look at the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin  # a queue asks for one

from verifywise_mlflow.connector.change_probes import list_registry
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.assets.external_assets import mlflow_server
from verifywise_mlflow.defs.schedules.sync_schedules import reconcile, rehash
from verifywise_mlflow.defs.sensors.poll_cursor import PollCursor
from verifywise_mlflow.defs.sensors.registry_sensors import changed_listings, new_versions
from verifywise_mlflow.http.pools import request_slots
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.services import change_polls
from verifywise_mlflow.services.change_polls import fetch_fingerprints, registry_change_token
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.syncing import sync
from verifywise_mlflow_tests.proxy import proxy_before
from verifywise_mlflow_tests.registry import Registry

JOB = "sync_tenant"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        yield instance


class Ticking:
    """A sensor that ticks on demand, each time with the cursor that the last tick left, and with everybody's turn."""

    def __init__(self, sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> None:
        self.sensor, self.instance = sensor, instance
        self.cursor = PollCursor()
        self.events: list[dg.AssetObservation] = []
        self.skipped: str | None = None

    def tick(self) -> list[str]:
        """Return the tenants for which the tick asks for a sync."""
        # As if the last tick had been yesterday, and all had been let off their back-off.
        failing = {name: how._replace(retry_at=0) for name, how in self.cursor.failing.items()}
        since = datetime.now(UTC) - timedelta(days=1)
        left = self.cursor.model_copy(update={"ticked_at": since, "failing": failing}).to_json()
        with dg.build_sensor_context(instance=self.instance, cursor=left) as context:
            result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = PollCursor.from_json(result.cursor)
        self.events += [event for event in result.asset_events if isinstance(event, dg.AssetObservation)]
        self.skipped = result.skip_reason.skip_message if result.skip_reason else None
        return [str(request.partition_key) for request in result.run_requests or []]


def test_the_poll_asks_for_one_sync_when_a_version_is_new_and_only_then(
    registry: Registry, tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    poll = Ticking(new_versions, instance)
    registry.version("churn")
    sync(tenant, store)

    assert poll.tick() == []  # the sync has seen that version
    registry.version("churn")
    assert poll.tick() == ["acme"]
    assert poll.tick() == []  # asked for already
    sync(tenant, store)
    assert poll.tick() == []
    assert poll.cursor.requested == {}


def test_the_listings_tell_of_what_moves_no_time_stamp_and_a_sync_ends_that(
    registry: Registry, tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    poll, listings = Ticking(new_versions, instance), Ticking(changed_listings, instance)
    registry.version("churn")
    registry.version("churn")
    registry.version("credit", tags={"note": "a'b\\n%s\u0007"})
    sync(tenant, store)
    assert (poll.tick(), listings.tick()) == ([], [])

    writes: list[Callable[[], object]] = [
        lambda: registry.client.set_registered_model_alias("churn", "champion", "1"),
        lambda: registry.client.set_registered_model_alias("churn", "champion", "2"),
        lambda: registry.client.set_registered_model_tag("churn", "owner", "ann"),
        lambda: registry.client.set_model_version_tag("churn", "2", "approved", "yes"),
        lambda: registry.client.update_registered_model("churn", description="who leaves"),
        lambda: registry.client.delete_model_version("churn", "1"),
        lambda: registry.client.delete_registered_model("credit"),
    ]
    for number, write in enumerate(writes):
        write()
        asked = listings.tick(), listings.tick()
        assert asked == (["acme"], []), f"write {number} is noticed once"
        if number in (1, 3, 6):
            sync(tenant, store)
            assert listings.tick() == []
            assert listings.cursor.requested == {}


def test_what_hides_among_the_prompts_is_not_missed_each_time(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.version("churn")
    registry.version("credit")
    registry.client.set_registered_model_tag("credit", "mlflow.prompt.is_prompt", "true")
    sync(tenant, store)
    assert registry_change_token(store, "acme", fetch_fingerprints(tenant)) is None

    registry.client.set_model_version_tag("churn", "1", "mlflow.prompt.is_prompt", "true")
    assert registry_change_token(store, "acme", fetch_fingerprints(tenant)) is not None, "who begins to hide is missed"


def test_the_listings_cost_one_request_each(registry: Registry, tenant: Tenant) -> None:
    registry.version("churn")
    with proxy_before(tenant.tracking_uri) as proxy:
        shown = list_registry(connection_settings(tenant.model_copy(update={"tracking_uri": proxy.uri})))
        assert (len(shown.models.rows), len(shown.versions.rows), proxy.requests) == (1, 1, 2)


@pytest.mark.parametrize("sensor", [new_versions, changed_listings], ids=lambda sensor: sensor.name)
def test_a_server_that_cannot_be_read_is_told_of_once_and_again_when_it_is_back(
    sensor: dg.SensorDefinition,
    registry: Registry,
    tenants_file: Path,
    tenant: Tenant,
    store: Store,
    instance: dg.DagsterInstance,
) -> None:
    ticking = Ticking(sensor, instance)
    registry.version("churn")
    sync(tenant, store)
    described = tenants_file.read_text()

    tenants_file.write_text("tenants: {acme: {tracking_uri: 'http://127.0.0.1:9', allow_private_network: true}}")
    for _ in range(4):
        assert ticking.tick() == []
        assert "0 answered" in str(ticking.skipped)
    assert ticking.cursor.failing["acme"].failures == 4
    tenants_file.write_text(described)
    assert ticking.tick() == []
    assert "acme" not in ticking.cursor.failing

    silent, back = ticking.events
    assert {(event.asset_key, event.partition) for event in (silent, back)} == {(mlflow_server.key, "acme")}
    assert "refused" in str(silent.description)
    assert silent.metadata["readable"].value is False
    assert (back.metadata["readable"].value, back.metadata["times_in_a_row"].value) == (True, 4)


def test_a_server_whose_places_another_sensor_holds_is_not_told_as_one_that_cannot_be_read(
    registry: Registry,
    tenants_file: Path,
    tenant: Tenant,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.version("churn")
    ticking = Ticking(new_versions, instance)
    settings = connection_settings(tenant)
    places = request_slots(settings)
    for _ in range(settings.limits.max_concurrent_requests):
        assert places.acquire(blocking=False)
    with monkeypatch.context() as hurried:
        hurried.setattr(change_polls, "POLL_TIMEOUT_S", 0.3)  # how long it waits for a place
        for _ in range(3):
            assert ticking.tick() == []
            assert (ticking.cursor.pending, ticking.cursor.failing) == (("acme",), {})
    assert ticking.events == []

    for _ in range(settings.limits.max_concurrent_requests):
        places.release()
    assert ticking.tick() == ["acme"]


@pytest.mark.parametrize(
    ("job", "event"),
    [(JOB, dg.DagsterEventType.RUN_ENQUEUED), ("__ASSET_JOB", dg.DagsterEventType.RUN_START)],
    ids=["queued", "under-way"],
)
def test_no_sync_is_asked_for_behind_one_that_is_queued_or_under_way(
    job: str, event: dg.DagsterEventType, tenants_file: Path, instance: dg.DagsterInstance
) -> None:
    # Whoever asked for it: an asset's page and a backfill make runs of a job of Dagster's own.
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("verifywise_mlflow"), "all").get_job_origin(job)
    run = instance.add_run(dg.DagsterRun(job, tags={"dagster/partition": "acme"}, remote_job_origin=origin))
    instance.report_dagster_event(dg.DagsterEvent(event.value, job), run.run_id)
    for sensor in (new_versions, changed_listings):
        ticking = Ticking(sensor, instance)
        assert ticking.tick() == []
        assert ticking.cursor.pending == ("acme",)
    assert asked_by(reconcile, instance) == asked_by(rehash, instance) == []


def test_news_of_a_tenant_whose_backfill_waits_lets_that_go_sooner(
    registry: Registry, tenants_file: Path, instance: dg.DagsterInstance
) -> None:
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("verifywise_mlflow"), "all").get_job_origin(JOB)
    tags = {"dagster/partition": "acme", "dagster/backfill": "abcdefgh", "dagster/priority": "-10"}
    run = instance.add_run(dg.DagsterRun(JOB, tags=tags, remote_job_origin=origin))
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_ENQUEUED.value, JOB), run.run_id)
    registry.version("churn")

    ticking = Ticking(new_versions, instance)
    assert ticking.tick() == []

    waiting = instance.get_run_by_id(run.run_id)
    assert waiting is not None
    assert waiting.tags["dagster/priority"] == "5", "as soon as a run that the sensor had asked for"
    assert ticking.cursor.pending == ("acme",), "and it looks again, in case that run comes to nothing"


def asked_by(
    schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, *, after: timedelta | None = None
) -> list[str]:
    """Return the tenants for which a schedule asks for a sync at that time from now."""
    when = datetime.now(UTC) + (after or timedelta(0))
    repository = defs.get_repository_def()
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=when, repository_def=repository
    ) as context:
        data = schedule.evaluate_tick(context)
    return [str(request.partition_key) for request in data.run_requests or []]


def test_reconcile_comes_within_the_interval_and_a_sync_by_anyone_puts_it_off(
    tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    assert asked_by(reconcile, instance) == ["acme"], "who was never synced"
    sync(tenant, store, SyncOptions())
    assert asked_by(reconcile, instance) == []
    assert asked_by(reconcile, instance, after=timedelta(minutes=53)) == []
    assert asked_by(reconcile, instance, after=timedelta(minutes=59)) == ["acme"]


def test_rehash_asks_only_where_reconciling_comes_too_seldom(
    tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    sync(tenant, store)
    assert asked_by(rehash, instance, after=timedelta(hours=1)) == []
    assert asked_by(rehash, instance, after=timedelta(hours=2.5)) == ["acme"], "a tenth of a day"


def test_a_sync_that_failed_is_not_asked_for_again_at_once(tenants_file: Path, instance: dg.DagsterInstance) -> None:
    instance.add_run(dg.DagsterRun(JOB, status=dg.DagsterRunStatus.FAILURE, tags={"dagster/partition": "acme"}))
    assert asked_by(reconcile, instance) == []
    assert asked_by(reconcile, instance, after=timedelta(minutes=61)) == ["acme"]


def test_a_sync_that_was_taken_out_of_the_queue_is_none_that_failed(
    tenants_file: Path, instance: dg.DagsterInstance
) -> None:
    tags = {"dagster/partition": "acme"}
    instance.report_run_canceled(instance.add_run(dg.DagsterRun(JOB, tags=tags)))
    assert asked_by(reconcile, instance) == ["acme"]

    begun = instance.add_run(dg.DagsterRun(JOB, tags=tags))
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, JOB), begun.run_id)
    instance.report_run_canceled(begun)
    assert asked_by(reconcile, instance) == []
