"""When polling sensors request syncs, against a real server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import urllib3
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin  # queued runs need one

from verifywise_mlflow.connector.change_probes import Digests, digest_registry
from verifywise_mlflow.defs.assets.external_assets import mlflow_server
from verifywise_mlflow.defs.schedules.sync_schedules import reconcile, rehash
from verifywise_mlflow.defs.sensors.registry_sensors import changed_listings, new_versions
from verifywise_mlflow.http.pools import concurrency_limit
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services import change_polls
from verifywise_mlflow.services.change_polls import fetch_fingerprints, registry_change_token
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.defs.sync_requests import JOB, TickingSensor, requested_by
from verifywise_mlflow_tests.support.proxy import proxy_before
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import sync


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
        short_timeout.setattr(change_polls, "POLL_TIMEOUT_S", 0.3)  # how long the run waits for a slot
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
