"""A targeted sync reads named models and versions only, and leaves the store as a sync of the registry would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.repositories import audit_log, tenancy
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.reading_completeness import completeness
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.pipeline.database_snapshot import differences
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.evaluation_fixtures import one_rule_compliance
from verifywise_mlflow_tests.support.intact_records import assert_intact
from verifywise_mlflow_tests.support.proxy import Proxy, always, proxy_before, saying
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.seeding import Sizes, model_name, seed
from verifywise_mlflow_tests.support.syncing import record, rows, sync, targeted_sync

IS_PROMPT = "mlflow.prompt.is_prompt"


@pytest.fixture
def proxy(mlflow_uri: str) -> Iterator[Proxy]:
    with proxy_before(mlflow_uri) as proxy:
        yield proxy


@pytest.fixture
def light_tenant(tenant: Tenant, tmp_path: Path) -> Tenant:
    """The tenant with one rule and without files."""
    return tenant.model_copy(
        update={"artifacts": Artifacts(manifests=False), "compliance": one_rule_compliance(tmp_path)}
    )


@pytest.fixture
def proxied_tenant(light_tenant: Tenant, proxy: Proxy) -> Tenant:
    """The light tenant behind the proxy."""
    return light_tenant.model_copy(update={"tracking_uri": proxy.uri})


def endpoints(proxy: Proxy) -> Counter[str]:
    """Return the number of requests by endpoint, from the last two parts of their paths."""
    return Counter("/".join(exchange.kind.split("/")[-2:]) for exchange in proxy.exchanges)


def changes(run: Sync) -> dict[str, object]:
    return {report.stage.value: report.counts() for report in run.reports if not report.is_unchanged}


def event_kinds(store: Store) -> Counter[tuple[object, object]]:
    return Counter((row["kind"], row["value"]) for row in rows(store, "lifecycle_events"))


def test_a_changed_tag_costs_five_requests_in_a_registry_of_any_size(
    proxied_tenant: Tenant, proxy: Proxy, registry: Registry, mlflow_database: Path, store: Store
) -> None:
    seed(mlflow_database, proxied_tenant.workspace or "", Sizes(30, 230, runs=210))
    sync(proxied_tenant, store)
    sync(proxied_tenant, store)  # sets the last watermarks
    proxy.forget()

    registry.client.set_model_version_tag(model_name(3), "1", "owner", "ada@example.com")
    run = targeted_sync(proxied_tenant, store, (model_name(3), 1))

    assert endpoints(proxy) == {
        "mlflow/server-info": 1,
        "/version": 1,
        "model-versions/get": 1,
        "experiments/get": 1,
        "runs/search": 1,
    }
    assert b"IN (" in proxy.requests_ending_with("runs/search")[0].body
    assert proxy.requests_ending_with("runs/search")[0].body.count(b"','") == 0, "the version's own run only"
    changed = {report.stage: report.progress.changed for report in run.reports}
    assert changed[Stage.MODEL_VERSIONS] == changed[Stage.CANONICAL_RECORDS] == changed[Stage.COMPLIANCE_RESULTS] == 1
    assert record(store, model_name(3), 1)["owner"] == "ada@example.com"
    assert changes(sync(proxied_tenant, store)) == {}


def test_it_leaves_the_store_as_syncs_of_the_registry_do(
    registry: Registry, tenant: Tenant, store: Store, database_url: str, postgres: EmbeddedPostgres
) -> None:
    client = registry.client
    registry.trained_version("churn")
    registry.trained_version("churn")
    client.set_registered_model_alias("churn", "champion", "1")
    with migrated_database(postgres) as other_url:
        other = Store(other_url)

        def sync_both(*named: str | tuple[str, int]) -> None:
            targeted_sync(tenant, store, *named)
            sync(tenant, other)

        sync(tenant, store)
        sync(tenant, other)
        client.set_registered_model_alias("churn", "champion", "2")
        client.set_registered_model_tag("churn", "risk", "high")
        sync_both("churn")
        client.set_model_version_tag("churn", "1", "owner", "ada@example.com")
        client.transition_model_version_stage("churn", "1", "Archived")
        client.update_model_version("churn", "2", description="The second one")
        sync_both("churn", ("churn", 1), ("churn", 2))  # a transition updates the model's time, too
        run_id = registry.run(tags={"owner": "grace"})
        model_id = registry.logged_model(run_id)
        client.create_registered_model("fraud")
        client.create_model_version("fraud", f"models:/{model_id}", run_id, await_creation_for=0, model_id=model_id)
        registry.version("promoted", source="models:/fraud/1")
        client.set_registered_model_alias("promoted", "challenger", "1")
        sync_both(("promoted", 1), "fraud", ("fraud", 1))
        unchanged = targeted_sync(tenant, store, "churn", "fraud", "promoted", ("churn", 1), ("promoted", 1))
        full = sync(tenant, store)
        sync(tenant, other)
        other.close()

        assert changes(unchanged) == changes(full) == {}
        assert differences(database_url, other_url) == {}
    assert record(store, "promoted")["owner"] == "grace"
    assert record(store, "promoted")["lifecycle_stage"] == "staging"
    assert_intact(store)


def test_it_claims_nothing_about_what_it_did_not_read(registry: Registry, light_tenant: Tenant, store: Store) -> None:
    client = registry.client
    for _ in range(2):
        registry.version("churn")
    registry.version("gone")
    sync(light_tenant, store)
    with store.begin("acme") as session:
        before, polled = tenancy.stage_refreshes_of(session), tenancy.poll_watermark(session)
        listed = completeness(session).stages[1].read
    client.delete_registered_model("gone")
    client.delete_model_version("churn", "2")
    client.set_model_version_tag("churn", "1", "owner", "ada@example.com")

    run = targeted_sync(light_tenant, store, "gone", ("gone", 1), ("churn", 1), ("churn", 2), ("never", 7))

    assert [row["deleted_at"] for row in rows(store, "model_versions")] == [None] * 3
    assert "disappeared" not in {kind for kind, _ in event_kinds(store)}
    assert [report.progress.incomplete for report in run.reports[:2]] == [0, 0]
    notes = [note.text for report in run.reports for note in report.progress.notes if "left to" in note.text]
    assert notes == [
        "2 named registered models were not found and are left to the next listing: 'gone' and others",
        "3 named model versions were not found and are left to the next listing: churn version 2 and others",
    ]
    with store.begin("acme") as session:
        after = tenancy.stage_refreshes_of(session)
        assert tenancy.poll_watermark(session) == polled
        assert (completeness(session).stages[1].read, completeness(session).stages[1].stage) == (
            listed,
            "model_versions",
        )
        started, ended = (
            audit_log.entries(session, limit=1, kind=f"sync {word}")[0][1] for word in ("started", "ended")
        )
    unmoved = [stage for stage in Stage if before[stage] == after[stage]]
    assert unmoved == [*Stage][:4]
    scope = started.counts["options"]["only"]  # type: ignore[index]
    assert (scope["count"], scope["first"][0]) == (5, {"kind": "model", "name": "churn", "version_number": 1})
    assert ended.counts["only"] == 5

    sync(light_tenant, store)
    assert sum(row["deleted_at"] is not None for row in rows(store, "model_versions")) == 2


def test_only_a_listing_says_what_the_prompt_tag_hides(registry: Registry, light_tenant: Tenant, store: Store) -> None:
    client = registry.client
    for model in ("churn", "churn", "credit", "fraud"):
        registry.version(model)
    sync(light_tenant, store)

    client.set_model_version_tag("churn", "1", IS_PROMPT, "true")
    client.set_registered_model_tag("credit", IS_PROMPT, "true")
    run = targeted_sync(light_tenant, store, ("churn", 1), "credit", "fraud")
    assert changes(run) == {}
    assert hints(store) == [("registry", "", 0)], "a listing is requested"

    sync(light_tenant, store)
    assert hints(store) == []
    assert hidden(store) == {("churn", 1), ("churn", 2), ("credit", None)}
    client.set_model_version_tag("churn", "2", "owner", "ada@example.com")
    # MLflow's client refuses this for an object that looks like a prompt. MLflow's server does not refuse it.
    client._get_registry_client().set_registered_model_tag("credit", "risk", "high")  # type: ignore[no-untyped-call]
    registry.version("churn")
    targeted_sync(light_tenant, store, ("churn", 2), "credit", ("churn", 3))

    assert record(store, "churn", 2)["owner"] == "ada@example.com"
    assert record(store, "credit")["risk_category"] == "high"
    assert hidden(store) == {("churn", 1), ("churn", 2), ("credit", None)}, (
        "a new version of such a model is left to the listing"
    )
    sync(light_tenant, store)
    assert hidden(store) == {("churn", 1), ("churn", 2), ("churn", 3), ("credit", None)}


def hidden(store: Store) -> set[tuple[object, object]]:
    return {
        (row["model_name"], row.get("version_number"))
        for table in ("registered_models", "model_versions")
        for row in rows(store, table)
        if row["hidden_from_search"]
    }


def hints(store: Store) -> list[tuple[object, object, object]]:
    return [(row["object_kind"], row["object_name"], row["version_number"]) for row in rows(store, "change_hints")]


def test_a_model_under_the_name_of_a_living_one_is_left_to_the_listing_that_finds_its_versions(
    registry: Registry, light_tenant: Tenant, store: Store
) -> None:
    for _ in range(2):
        registry.version("churn", tags={"owner": "ada@example.com"})
    sync(light_tenant, store)
    registry.client.delete_registered_model("churn")
    registry.version("churn", tags={"owner": "eve@example.com"})
    registry.version("copy", source="models:/churn/1")
    registry.version("base")
    registry.version("copy of base", source="models:/base/1")

    targeted_sync(light_tenant, store, "churn", ("churn", 1), ("copy", 1), ("copy of base", 1))

    assert record(store, "churn")["owner"] == "ada@example.com"
    assert {row["model_name"] for row in rows(store, "model_versions")} == {"churn"}, "nor are the copies traced"
    assert hints(store) == [("registry", "", 0)]
    sync(light_tenant, store)
    assert record(store, "churn")["owner"] == "eve@example.com"
    incarnations = {row["model_name"]: row["incarnation"] for row in rows(store, "registered_models")}
    assert incarnations == {"base": 1, "churn": 2, "copy": 1, "copy of base": 1}
    assert_intact(store)


def test_an_object_on_which_the_server_fails_is_reported_and_the_others_are_read(
    proxied_tenant: Tenant, proxy: Proxy, registry: Registry, store: Store
) -> None:
    for model in ("churn", "fraud"):
        registry.version(model)
    sync(proxied_tenant, store)
    for model in ("churn", "fraud"):
        registry.client.set_model_version_tag(model, "1", "owner", "ada@example.com")
    broken = saying(500)
    proxy.fault = lambda exchange: broken if exchange.query.get("name") == ["churn"] else None

    run = targeted_sync(proxied_tenant, store, ("churn", 1), ("fraud", 1))

    failures = [failure.name for report in run.reports for failure in report.progress.read_failures]
    assert failures == ["churn version 1"]
    assert (record(store, "churn")["owner"], record(store, "fraud")["owner"]) == (None, "ada@example.com")


def test_a_server_that_does_not_respond_fails_the_sync(
    proxied_tenant: Tenant, proxy: Proxy, registry: Registry, store: Store, without_pauses: None
) -> None:
    registry.version("churn")
    sync(proxied_tenant, store)
    proxy.fault = always(saying(503), "model-versions/get")

    with pytest.raises(Exception, match="responded with 503"):
        targeted_sync(proxied_tenant, store, ("churn", 1))
