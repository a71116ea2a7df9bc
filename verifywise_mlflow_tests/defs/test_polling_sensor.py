"""When syncs are requested: polling sensors against a real server, and schedules against the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import urllib3
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin  # queued runs need one

from verifywise_mlflow.connector.change_probes import Digests, digest_registry
from verifywise_mlflow.definitions import defs
from verifywise_mlflow.defs.assets.external_assets import mlflow_server
from verifywise_mlflow.defs.schedules.sync_schedules import reconcile, rehash
from verifywise_mlflow.defs.sensors.poll_cursor import PollCursor, Suspicion
from verifywise_mlflow.defs.sensors.registry_sensors import changed_listings, new_versions
from verifywise_mlflow.http.pools import concurrency_limit
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject, ObjectKind
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.services import change_polls
from verifywise_mlflow.services.change_polls import fetch_fingerprints, registry_change_token, unreported_models
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow.tenants.webhooks import Webhooks
from verifywise_mlflow_tests.support.proxy import proxy_before
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync

JOB = "sync_tenant"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        instance.add_dynamic_partitions("tenants", ["acme"])
        yield instance


class TickingSensor:
    """A sensor that ticks on demand with the cursor of its last tick; every tenant is due in every tick."""

    def __init__(self, sensor: dg.SensorDefinition, instance: dg.DagsterInstance) -> None:
        self.sensor, self.instance = sensor, instance
        self.cursor = PollCursor()
        self.events: list[dg.AssetObservation] = []
        self.skip_message: str | None = None

    def tick(self) -> list[str]:
        """Return the tenants for which the tick requests a sync."""
        # As if the last tick had been yesterday and all back-offs were over.
        failing = {name: streak._replace(retry_at=0) for name, streak in self.cursor.failing.items()}
        since = datetime.now(UTC) - timedelta(days=1)
        cursor = self.cursor.model_copy(update={"ticked_at": since, "failing": failing}).to_json()
        with dg.build_sensor_context(instance=self.instance, cursor=cursor) as context:
            result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = PollCursor.from_json(result.cursor)
        self.events += [event for event in result.asset_events if isinstance(event, dg.AssetObservation)]
        self.skip_message = result.skip_reason.skip_message if result.skip_reason else None
        return [str(request.partition_key) for request in result.run_requests or []]


def test_a_new_version_requests_exactly_one_sync(
    registry: Registry, tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    poll = TickingSensor(new_versions, instance)
    registry.version("churn")
    sync(tenant, store)

    assert poll.tick() == []  # the sync has stored that version
    registry.version("churn")
    assert poll.tick() == ["acme"]
    assert poll.tick() == []  # already requested
    sync(tenant, store)
    assert poll.tick() == []
    assert poll.cursor.requested == {}


def test_the_listings_show_changes_that_update_no_timestamp_until_a_sync_stores_them(
    registry: Registry, tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    poll, listings = TickingSensor(new_versions, instance), TickingSensor(changed_listings, instance)
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
        requested = listings.tick(), listings.tick()
        assert requested == (["acme"], []), f"write {number} is detected once"
        if number in (1, 3, 6):
            sync(tenant, store)
            assert listings.tick() == []
            assert listings.cursor.requested == {}


def test_changes_of_prompts_are_found_by_the_listings_and_new_versions_by_the_cheap_poll(
    registry: Registry, tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    poll, listings = TickingSensor(new_versions, instance), TickingSensor(changed_listings, instance)
    registry.version("churn")
    sync(tenant, store)
    client = registry.client
    client.register_prompt("summary", "Summarize {{text}}")
    assert (poll.tick(), listings.tick()) == ([], ["acme"]), "only the listings look for the first prompt"
    sync(tenant, store)
    assert (poll.tick(), listings.tick()) == ([], [])

    writes: list[tuple[str, Callable[[], object]]] = [
        ("version", lambda: client.register_prompt("summary", "Summarize {{text}} in {{words}} words")),
        ("another prompt", lambda: client.register_prompt("greeting", "Hello {{name}}")),
        ("tag", lambda: client.set_prompt_version_tag("summary", "1", "owner", "ada")),
        ("alias", lambda: client.set_prompt_alias("summary", "production", 1)),
        ("moved alias", lambda: client.set_prompt_alias("summary", "production", 2)),
        ("deleted version", lambda: client.delete_prompt_version("summary", "1")),
        ("deletion", lambda: client.delete_prompt("greeting")),
    ]
    found_by_poll = set()
    for what, write in writes:
        write()
        if poll.tick():
            found_by_poll.add(what)
        assert (listings.tick(), listings.tick()) == (["acme"], []), f"{what}: detected once"
        sync(tenant, store)
        assert (poll.tick(), listings.tick()) == ([], []), f"{what}: stored"
    assert found_by_poll >= {"version", "another prompt"}


def test_an_object_hidden_by_the_prompt_tag_is_not_reported_by_every_poll(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn")
    registry.version("credit")
    registry.client.set_registered_model_tag("credit", "mlflow.prompt.is_prompt", "true")
    sync(tenant, store)
    assert registry_change_token(store, "acme", fetch_fingerprints(tenant)) is None

    set_tag_of_hidden_model(tenant, "credit", "owner", "ada")
    assert registry_change_token(store, "acme", fetch_fingerprints(tenant)) is not None, "a hidden model's tag"
    sync(tenant, store)
    assert registry_change_token(store, "acme", fetch_fingerprints(tenant)) is None

    registry.client.set_model_version_tag("churn", "1", "mlflow.prompt.is_prompt", "true")
    assert registry_change_token(store, "acme", fetch_fingerprints(tenant)) is not None, (
        "a version that becomes hidden is reported"
    )


def set_tag_of_hidden_model(tenant: Tenant, name: str, key: str, value: str) -> None:
    """Set a tag by MLflow's API: its client denies that the model exists."""
    url = f"{tenant.tracking_uri}/api/2.0/mlflow/registered-models/set-tag"
    body, headers = {"name": name, "key": key, "value": value}, {"X-MLFLOW-WORKSPACE": tenant.workspace or ""}
    assert urllib3.request("POST", url, json=body, headers=headers).status == 200


def test_the_listings_cost_one_request_each_and_one_for_the_question_whether_there_are_prompts(
    registry: Registry, tenant: Tenant
) -> None:
    registry.version("churn")
    with proxy_before(tenant.tracking_uri) as proxy:
        settings = connection_settings(tenant.model_copy(update={"tracking_uri": proxy.uri}))
        digests = Digests(*(lambda listed: type(listed).__name__,) * 4)
        listings = digest_registry(settings, digests)
        assert (len(listings.models.rows), len(listings.versions.rows), proxy.requests) == (1, 1, 3)
        registry.client.register_prompt("summary", "Summarize {{text}}")
        listings = digest_registry(settings, digests)
        assert (listings.prompts.rows, listings.prompt_versions.rows, proxy.requests) == (
            (("summary", "Prompt"),),
            ((("summary", 1), "PromptVersion"),),
            3 + 4,
        )


@pytest.mark.parametrize("sensor", [new_versions, changed_listings], ids=lambda sensor: sensor.name)
def test_an_unreachable_server_is_observed_once_and_again_when_it_recovers(
    sensor: dg.SensorDefinition,
    registry: Registry,
    tenants_file: Path,
    tenant: Tenant,
    store: Store,
    instance: dg.DagsterInstance,
) -> None:
    ticking = TickingSensor(sensor, instance)
    registry.version("churn")
    sync(tenant, store)
    described = tenants_file.read_text()

    tenants_file.write_text("tenants: {acme: {tracking_uri: 'http://127.0.0.1:9', allow_private_network: true}}")
    for _ in range(4):
        assert ticking.tick() == []
        assert "read 0" in str(ticking.skip_message)
    assert ticking.cursor.failing["acme"].failures == 4
    tenants_file.write_text(described)
    assert ticking.tick() == []
    assert "acme" not in ticking.cursor.failing

    unreachable, recovered = ticking.events
    assert {(event.asset_key, event.partition) for event in (unreachable, recovered)} == {(mlflow_server.key, "acme")}
    assert "refused" in str(unreachable.description)
    assert unreachable.metadata["is_reachable"].value is False
    assert (recovered.metadata["is_reachable"].value, recovered.metadata["consecutive_failures"].value) == (True, 4)


def test_a_server_whose_request_slots_another_sensor_holds_is_not_reported_as_unreachable(
    registry: Registry,
    tenants_file: Path,
    tenant: Tenant,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry.version("churn")
    ticking = TickingSensor(new_versions, instance)
    settings = connection_settings(tenant)
    limit = concurrency_limit(settings)
    held = ExitStack()
    for _ in range(limit.limit):
        held.enter_context(limit.acquire("globex", limit.limit, kind="", timeout=0.1))
    with held, monkeypatch.context() as short_timeout:
        short_timeout.setattr(change_polls, "POLL_TIMEOUT_S", 0.3)  # how long it waits for a slot
        for _ in range(3):
            assert ticking.tick() == []
            assert (ticking.cursor.pending, ticking.cursor.failing) == (("acme",), {})
    assert ticking.events == []

    assert ticking.tick() == ["acme"]


@pytest.mark.parametrize(
    ("job", "event"),
    [(JOB, dg.DagsterEventType.RUN_ENQUEUED), ("__ASSET_JOB", dg.DagsterEventType.RUN_START)],
    ids=["queued", "running"],
)
def test_no_sync_is_requested_while_one_is_queued_or_running(
    job: str, event: dg.DagsterEventType, tenants_file: Path, instance: dg.DagsterInstance
) -> None:
    # For all requesters: an asset's page and a backfill launch runs of a job of Dagster's own.
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("verifywise_mlflow"), "all").get_job_origin(job)
    run = instance.add_run(dg.DagsterRun(job, tags={"dagster/partition": "acme"}, remote_job_origin=origin))
    instance.report_dagster_event(dg.DagsterEvent(event.value, job), run.run_id)
    for sensor in (new_versions, changed_listings):
        ticking = TickingSensor(sensor, instance)
        assert ticking.tick() == []
        assert ticking.cursor.pending == ("acme",)
    assert requested_by(reconcile, instance) == requested_by(rehash, instance) == []


def test_a_change_raises_the_priority_of_a_queued_backfill_run(
    registry: Registry, tenants_file: Path, instance: dg.DagsterInstance
) -> None:
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("verifywise_mlflow"), "all").get_job_origin(JOB)
    tags = {"dagster/partition": "acme", "dagster/backfill": "abcdefgh", "dagster/priority": "-10"}
    run = instance.add_run(dg.DagsterRun(JOB, tags=tags, remote_job_origin=origin))
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_ENQUEUED.value, JOB), run.run_id)
    registry.version("churn")

    ticking = TickingSensor(new_versions, instance)
    assert ticking.tick() == []

    waiting = instance.get_run_by_id(run.run_id)
    assert waiting is not None
    assert waiting.tags["dagster/priority"] == "5", "the priority of a run that the sensor requests"
    assert ticking.cursor.pending == ("acme",), "and it polls again, in case that run fails"


def requested_by(
    schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, *, after: timedelta | None = None
) -> list[str]:
    """Return the tenants for which a schedule requests a sync, ``after`` from now."""
    evaluated_at = datetime.now(UTC) + (after or timedelta(0))
    repository = defs.get_repository_def()
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=evaluated_at, repository_def=repository
    ) as context:
        data = schedule.evaluate_tick(context)
    return [str(request.partition_key) for request in data.run_requests or []]


def test_reconcile_requests_a_sync_within_the_interval_of_the_last_one(
    tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    assert requested_by(reconcile, instance) == ["acme"], "a tenant that was never synced"
    sync(tenant, store, SyncOptions())
    assert requested_by(reconcile, instance) == []
    assert requested_by(reconcile, instance, after=timedelta(minutes=53)) == []
    assert requested_by(reconcile, instance, after=timedelta(minutes=59)) == ["acme"]


def test_rehash_requests_a_sync_only_if_reconciling_is_too_rare(
    tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    sync(tenant, store)
    assert requested_by(rehash, instance, after=timedelta(hours=1)) == []
    assert requested_by(rehash, instance, after=timedelta(hours=2.5)) == ["acme"], "a tenth of a day"


def test_a_failed_sync_is_not_requested_again_at_once(tenants_file: Path, instance: dg.DagsterInstance) -> None:
    instance.add_run(dg.DagsterRun(JOB, status=dg.DagsterRunStatus.FAILURE, tags={"dagster/partition": "acme"}))
    assert requested_by(reconcile, instance) == []
    assert requested_by(reconcile, instance, after=timedelta(minutes=61)) == ["acme"]


def test_a_sync_that_was_canceled_in_the_queue_does_not_count_as_failed(
    tenants_file: Path, instance: dg.DagsterInstance
) -> None:
    tags = {"dagster/partition": "acme"}
    instance.report_run_canceled(instance.add_run(dg.DagsterRun(JOB, tags=tags)))
    assert requested_by(reconcile, instance) == ["acme"]

    started_run = instance.add_run(dg.DagsterRun(JOB, tags=tags))
    instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, JOB), started_run.run_id)
    instance.report_run_canceled(started_run)
    assert requested_by(reconcile, instance) == []


WEBHOOKS = Webhooks.model_validate({"path": "env:WEBHOOK_PATH", "secret": "env:WEBHOOK_SECRET", "listing": "3650d"})


def test_listings_are_polled_less_often_until_one_shows_a_change_that_no_webhook_reported(
    registry: Registry, tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    section = "webhooks: {path: 'env:WEBHOOK_PATH', secret: 'env:WEBHOOK_SECRET', listing: 3650d}"
    tenants_file.write_text(tenants_file.read_text().replace("artifacts:", f"{section}, artifacts:"))
    listings = TickingSensor(changed_listings, instance)
    registry.version("churn")
    sync(tenant, store)
    registry.client.set_model_version_tag("churn", "1", "owner", "ann@example.com")

    deliver(store, ago=timedelta(0))
    assert listings.tick() == []
    assert "polled less often while their webhooks are alive: acme" in str(listings.skip_message)

    deliver(store, ago=timedelta(hours=2))  # silent for longer than alive_for
    assert listings.tick() == ["acme"]
    suspicion = listings.cursor.suspected["acme"]
    assert suspicion.models == ("churn",)
    deliver(store, ago=timedelta(0), model="credit")
    assert listings.tick() == []
    assert listings.cursor.suspected == {"acme": suspicion}, "the event may be late"

    sync(tenant, store)
    found_at = suspicion.found_at - 180
    listings.cursor = listings.cursor.model_copy(update={"suspected": {"acme": Suspicion(found_at, ("churn",))}})
    listings.tick()
    with store.begin("acme") as session:
        assert change_hints.status(session).last_missed_at == datetime.fromtimestamp(found_at, UTC)
    assert "less often" not in str(listings.skip_message), "an event of another model does not hide the miss"


def test_a_change_whose_event_comes_late_is_no_miss(
    registry: Registry, tenants_file: Path, tenant: Tenant, store: Store, instance: dg.DagsterInstance
) -> None:
    section = "webhooks: {path: 'env:WEBHOOK_PATH', secret: 'env:WEBHOOK_SECRET', listing: 3650d}"
    tenants_file.write_text(tenants_file.read_text().replace("artifacts:", f"{section}, artifacts:"))
    registry.version("churn")
    sync(tenant, store)
    poll, listings = TickingSensor(new_versions, instance), TickingSensor(changed_listings, instance)
    registry.version("churn")

    assert poll.tick() == ["acme"]
    assert poll.cursor.suspected["acme"].models == ("churn",), "the cheap poll notices a new version without an event"
    assert poll.tick() == []
    deliver(store, ago=timedelta(0), model="churn")
    sync(tenant, store)
    poll.tick()
    listings.tick()

    assert (poll.cursor.suspected, listings.cursor.suspected) == ({}, {})
    with store.begin("acme") as session:
        assert change_hints.status(session).last_missed_at is None
    assert "polled less often while their webhooks are alive: acme" in str(listings.skip_message)


def deliver(store: Store, *, ago: timedelta, model: str | None = None) -> None:
    """Record a delivery about a model, or a test call."""
    at, objects = datetime.now(UTC) - ago, [HintedObject(ObjectKind.MODEL, model)] if model else []
    with store.begin("acme") as session:
        change_hints.is_new_delivery(session, f"{model} {at}", objects, at)
        change_hints.record_delivery(session, at, is_event=model is not None)


def test_only_changes_that_have_a_webhook_count_as_unreported(registry: Registry, tenant: Tenant, store: Store) -> None:
    with_webhooks = tenant.model_copy(update={"webhooks": WEBHOOKS})
    registry.version("churn")
    sync(tenant, store)

    def is_unreported_after(write: Callable[[], object]) -> bool:
        write()
        listed = fetch_fingerprints(with_webhooks)
        assert registry_change_token(store, "acme", listed) is not None
        is_unreported = bool(unreported_models(store, "acme", listed))
        with store.begin("acme") as session:
            hints = [HintedObject(ObjectKind.MODEL, name, 1) for name in listed.models]
            change_hints.record(session, hints, datetime.now(UTC))
        assert not unreported_models(store, "acme", listed), "hints are pending, so a sync will follow"
        sync(tenant, store)  # which settles it
        return is_unreported

    client = registry.client
    assert is_unreported_after(lambda: client.set_model_version_tag("churn", "1", "owner", "ann"))
    assert is_unreported_after(lambda: client.set_registered_model_alias("churn", "champion", "1"))
    assert is_unreported_after(lambda: registry.version("churn"))
    assert is_unreported_after(lambda: client.create_registered_model("empty"))
    assert not is_unreported_after(lambda: client.update_model_version("churn", "1", "who leaves"))
    assert not is_unreported_after(lambda: client.set_registered_model_tag("churn", "team", "risk"))
    assert not is_unreported_after(lambda: client.delete_model_version("churn", "2"))
    assert not is_unreported_after(lambda: client.rename_registered_model("churn", "renamed"))
