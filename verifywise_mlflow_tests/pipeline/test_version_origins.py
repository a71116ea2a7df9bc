"""Versions that were registered from a logged model's path, from a run's path, or from another version.

MLflow 3.17 fills in the run of such versions. Versions that MLflow 3.1 and 3.2 registered by a path have no run, so the
tests remove the run from the server's database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.support.proxy import FILE_ENDPOINTS, proxy_before
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import Row, record, rows, sync

TAGS = {"mlflow.user": "ada", "mlflow.source.git.commit": "c0ffee"}
SAME_IN_COPIES = (
    "owner",
    "code_commit",
    "source_run_id",
    "metrics",
    "experiment_id",
    "experiment_name",
    "artifact_uri",
)

Edit = Callable[..., None]


@pytest.fixture
def edit_versions(mlflow_database: Path, workspace: str) -> Edit:
    """Change columns of a model's versions in the server's database."""

    def edit(model: str, **values: str | None) -> None:
        assignments = ", ".join(f"{column} = ?" for column in values)
        with sqlite3.connect(mlflow_database, timeout=30) as connection:
            connection.execute(
                f"UPDATE model_versions SET {assignments} WHERE workspace = ? AND name = ?",
                [*values.values(), workspace, model],
            )

    return edit


@pytest.fixture
def logged_model(registry: Registry) -> str:
    """A logged model with its files and its run."""
    return registry.logged_model(registry.run(metrics={"auc": 0.7}, tags={"team": "risk"}), tags=TAGS)


def register(registry: Registry, model: str, model_id: str) -> None:
    registry.version(model)
    registry.client.delete_model_version(model, "1")
    registry.client.create_model_version(model, f"models:/{model_id}", model_id=model_id, await_creation_for=0)


def register_by_path(registry: Registry, edit_versions: Edit, model: str, model_id: str) -> str:
    """Register a version as MLflow 3.1 did; return its source."""
    registry.client.create_registered_model(model)
    registry.client.create_model_version(model, f"models:/{model_id}", model_id=model_id, await_creation_for=0)
    location = str(registry.client.get_logged_model(model_id).artifact_location)
    edit_versions(model, source=location, storage_location=location, run_id=None)
    return location


def origins(row: Row) -> dict[str, dict[str, str]]:
    stored = row["origins"]
    assert isinstance(stored, dict)
    return stored


def manifest(row: Row) -> dict[str, object]:
    stored = row["artifact_manifest"]
    assert isinstance(stored, dict)
    return stored


def uncertain(row: Row) -> list[str]:
    findings = row["findings"]
    assert isinstance(findings, list)
    return [finding["sentence"] for finding in findings if finding["kind"] == "uncertain origin"]


def test_a_version_registered_by_the_path_of_a_logged_model_is_linked_to_it(
    registry: Registry, edit_versions: Edit, tenant: Tenant, store: Store, logged_model: str
) -> None:
    register_by_path(registry, edit_versions, "churn", logged_model)

    run = sync(tenant, store)

    row = record(store, "churn")
    link = f"the source is the artifact location of logged model {logged_model}"
    assert (row["owner"], row["code_commit"], row["experiment_name"]) == ("risk", "c0ffee", "churn")
    assert row["metrics"] == {"auc": 0.7}
    assert origins(row)["metrics"]["link"] == origins(row)["source_run_id"]["link"] == link
    assert (row["incomplete"], uncertain(row)) == ([], [])
    assert manifest(row)["status"] == "complete"
    assert sum(report.requests for report in run.reports[:3]) <= 9


def test_a_tag_that_names_other_versions_only_is_a_finding(
    registry: Registry, edit_versions: Edit, tenant: Tenant, store: Store, logged_model: str
) -> None:
    register_by_path(registry, edit_versions, "churn", logged_model)
    registry.client.set_logged_model_tags(logged_model, {"mlflow.modelVersions": '[{"name": "fraud", "version": 1}]'})

    sync(tenant, store)

    (sentence,) = uncertain(record(store, "churn"))
    assert "mlflow.modelVersions does not name the version" in sentence
    assert record(store, "churn")["metrics"] == {"auc": 0.7}


def test_a_path_below_a_logged_models_location_links_nothing(
    registry: Registry, edit_versions: Edit, tenant: Tenant, store: Store, logged_model: str
) -> None:
    location = register_by_path(registry, edit_versions, "churn", logged_model)
    edit_versions("churn", source=f"{location}/sub")

    sync(tenant, store)

    row = record(store, "churn")
    assert (row["source_run_id"], row["owner"], row["experiment_id"]) == (None, None, None)


def test_two_logged_models_with_one_location_are_ambiguous(
    registry: Registry,
    edit_versions: Edit,
    mlflow_database: Path,
    tenant: Tenant,
    store: Store,
    logged_model: str,
) -> None:
    location = register_by_path(registry, edit_versions, "churn", logged_model)
    sync(tenant, store)
    other = registry.logged_model(registry.run())
    with sqlite3.connect(mlflow_database, timeout=30) as connection:
        connection.execute("UPDATE logged_models SET artifact_location = ? WHERE model_id = ?", [location, other])
    register(registry, "other", other)

    sync(tenant, store)

    row = record(store, "churn")
    assert (row["source_run_id"], row["owner"], row["metrics"]) == (None, None, None)
    assert uncertain(row) == [
        "the version's source is the artifact location of several logged models, so it has none of them"
    ]
    assert record(store, "other", 2)["source_run_id"] is not None


def test_the_experiment_of_a_logged_model_without_a_run_has_its_name(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    experiment_id = registry.client.create_experiment("notebooks")
    model_id = registry.client.create_logged_model(experiment_id, "model").model_id
    register(registry, "churn", model_id)

    sync(tenant, store)

    row = record(store, "churn", 2)
    assert (row["source_run_id"], row["experiment_id"], row["experiment_name"]) == (None, experiment_id, "notebooks")
    assert origins(row)["experiment_name"]["source"] == "experiment"


def test_a_copy_of_a_copy_has_all_that_its_original_has(
    registry: Registry, edit_versions: Edit, tenant: Tenant, store: Store, logged_model: str
) -> None:
    register_by_path(registry, edit_versions, "churn", logged_model)
    registry.client.copy_model_version("models:/churn/1", "staging")
    registry.client.copy_model_version("models:/staging/1", "production")
    for model in ("staging", "production"):
        edit_versions(model, run_id=None)
    nothing_else = tenant.model_copy(update={"artifacts": Artifacts.model_validate({"allowed_locations": []})})

    with proxy_before(tenant.tracking_uri) as proxy:
        sync(nothing_else.model_copy(update={"tracking_uri": proxy.uri}), store)
        reads = [exchange.artifact for exchange in proxy.requests_ending_with(FILE_ENDPOINTS)]

    original, copy = record(store, "churn"), record(store, "production")
    for field in SAME_IN_COPIES:
        assert original[field] is not None, field
        assert copy[field] == original[field], field
    chain = "copied from 'staging' version 1, copied from 'churn' version 1"
    location = f"the source is the artifact location of logged model {logged_model}"
    assert origins(copy)["metrics"]["link"] == f"{chain}; {location}"
    assert origins(copy)["artifact_manifest"]["link"] == chain
    assert manifest(copy) == manifest(original)
    assert manifest(copy)["status"] == "complete"
    assert (copy["source_artifact_uri"], uncertain(copy)) == ("models:/staging/1", [])
    assert len([path for path in reads if path.endswith("model.pkl")]) == 1, "the bytes are read once"


def test_a_new_copy_of_a_known_version_reuses_the_digests_of_its_original(
    registry: Registry, tenant: Tenant, store: Store, logged_model: str
) -> None:
    register(registry, "churn", logged_model)
    with proxy_before(tenant.tracking_uri) as proxy:
        proxied_tenant = tenant.model_copy(update={"tracking_uri": proxy.uri})
        sync(proxied_tenant, store)
        registry.client.copy_model_version("models:/churn/2", "production")
        proxy.forget()

        sync(proxied_tenant, store)

        reads = [exchange.artifact for exchange in proxy.requests_ending_with(FILE_ENDPOINTS)]
    assert manifest(record(store, "production"))["digest"] == manifest(record(store, "churn", 2))["digest"]
    assert not [path for path in reads if path.endswith("model.pkl")]


def test_a_copy_keeps_its_origin_when_the_original_is_deleted_and_recreated(
    registry: Registry, tenant: Tenant, store: Store, logged_model: str
) -> None:
    register(registry, "churn", logged_model)
    registry.client.copy_model_version("models:/churn/2", "production")
    sync(tenant, store)
    before = record(store, "production")
    registry.client.delete_registered_model("churn")
    other = registry.logged_model(registry.run(metrics={"auc": 0.1}))
    register(registry, "churn", other)

    registry.client.copy_model_version("models:/production/1", "production-eu")
    sync(tenant, store)

    after, late_copy = record(store, "production"), record(store, "production-eu")
    assert (after["metrics"], after["origins"]) == (before["metrics"], before["origins"])
    assert late_copy["metrics"] == {"auc": 0.7}
    assert manifest(late_copy)["location"] == manifest(before)["location"]


def test_a_recreated_original_is_not_taken_for_the_one_that_was_copied(
    registry: Registry, edit_versions: Edit, tenant: Tenant, store: Store, logged_model: str
) -> None:
    register(registry, "churn", logged_model)
    registry.client.copy_model_version("models:/churn/2", "production")
    edit_versions("production", run_id=None)
    registry.client.delete_registered_model("churn")
    register(registry, "churn", registry.logged_model(registry.run()))

    sync(tenant, store)

    row = record(store, "production")
    assert (row["metrics"], row["code_commit"]) == ({"auc": 0.7}, "c0ffee")
    assert manifest(row)["status"] == "complete"
    assert "MLflow resolved the source of the copy" in origins(row)["metrics"]["link"]
    assert "was created after the copy" in uncertain(row)[0]


def test_the_location_of_a_copy_with_an_unknown_original_is_requested_once(
    registry: Registry, edit_versions: Edit, tenant: Tenant, store: Store, logged_model: str
) -> None:
    register(registry, "churn", logged_model)
    for model in ("production", "nowhere"):
        registry.client.copy_model_version("models:/churn/2", model)
    edit_versions("nowhere", run_id=None, storage_location="models:/churn/2")
    registry.client.delete_registered_model("churn")

    with proxy_before(tenant.tracking_uri) as proxy:
        proxied_tenant = tenant.model_copy(update={"tracking_uri": proxy.uri})
        requested = []
        for is_reconcile in (False, False, True):
            proxy.forget()
            sync(proxied_tenant, store, SyncOptions(reconcile=is_reconcile))
            requested.append(len(proxy.requests_ending_with("get-download-uri")))

    assert requested == [2, 0, 1]
    assert record(store, "production")["experiment_name"] == "churn"
    assert manifest(record(store, "production"))["status"] == "complete"
    lost = record(store, "nowhere")
    assert (lost["owner"], manifest(lost)["status"]) == (None, "unreachable")
    assert "is not in the registry" in str(lost["incomplete"])


def test_an_original_that_is_listed_later_completes_its_copy(
    registry: Registry, edit_versions: Edit, tenant: Tenant, store: Store, logged_model: str
) -> None:
    register(registry, "churn", logged_model)
    registry.client.copy_model_version("models:/churn/2", "production")
    edit_versions("production", source="models:/churn-lost/2")
    edit_versions("churn", name="churn-2")
    sync(tenant, store)
    assert "is not in the registry" in str(uncertain(record(store, "production")))

    edit_versions("production", source="models:/churn/2")
    sync(tenant, store)
    edit_versions("churn-2", name="churn")
    sync(tenant, store)

    assert uncertain(record(store, "production")) == []
    assert record(store, "production")["code_commit"] == "c0ffee"


def test_mlflow_resolves_an_alias_or_a_stage_when_it_registers_a_copy(
    registry: Registry, tenant: Tenant, store: Store, logged_model: str
) -> None:
    register(registry, "churn", logged_model)
    registry.client.set_registered_model_alias("churn", "champion", "2")
    registry.client.transition_model_version_stage("churn", "2", "Production")
    registry.client.create_registered_model("copy")
    for source in ("models:/churn@champion", "models:/churn/Production", "models:/churn/latest"):
        registry.client.create_model_version("copy", source, await_creation_for=0)

    sync(tenant, store)

    for number in (1, 2, 3):
        row = record(store, "copy", number)
        assert row["source_artifact_uri"] == "models:/churn/2"
        assert (row["metrics"], row["code_commit"]) == ({"auc": 0.7}, "c0ffee")


def test_a_run_uri_names_the_run_of_a_version_that_names_none(
    registry: Registry, edit_versions: Edit, tenant: Tenant, store: Store
) -> None:
    run_id = registry.run(metrics={"auc": 0.7}, files={"model/MLmodel": b"flavors: {}"})
    registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")
    edit_versions("churn", run_id=None)

    sync(tenant, store)

    row = record(store, "churn")
    assert (row["source_run_id"], row["metrics"]) == (run_id, {"auc": 0.7})
    assert origins(row)["source_run_id"]["link"] == "the source names the run"
    assert manifest(row)["location"] == f"{registry.client.get_run(run_id).info.artifact_uri}/model"


def test_copies_and_links_cost_no_request_of_an_unchanged_sync(
    registry: Registry, edit_versions: Edit, tenant: Tenant, store: Store, logged_model: str
) -> None:
    register_by_path(registry, edit_versions, "churn", logged_model)
    registry.client.copy_model_version("models:/churn/1", "production")
    sync(tenant, store)
    revisions = [row["revision"] for row in rows(store, "model_versions")]

    second = sync(tenant, store)

    assert [report.progress.changed for report in second.reports] == [0] * 6
    assert sum(report.requests for report in second.reports) <= 7
    assert [row["revision"] for row in rows(store, "model_versions")] == revisions
