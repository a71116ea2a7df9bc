"""Bytes that change under a registered version are detected, recorded and evaluated; others are not read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta

import pytest

from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.intervals import Intervals
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.support.proxy import FILE_ENDPOINTS, LISTING_ENDPOINTS, always, proxy_before, saying
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry
from verifywise_mlflow_tests.support.syncing import record, rows, sync

OTHER_BYTES = b"\x80\x05 other bytes"


def overwrite(registry: Registry, run_id: str | None, name: str, content: bytes, folder: str = "model") -> None:
    assert run_id
    path = registry.scratch / name
    path.write_bytes(content)
    registry.client.log_artifact(run_id, str(path), folder)


def verdict(store: Store, rule: str) -> str:
    (verdict_text,) = [row["verdict"] for row in rows(store, "compliance_results") if row["rule_id"] == rule]
    return str(verdict_text)


def manifest(store: Store, model: str = "churn", version: int = 1) -> Mapping[str, object]:
    stored_manifest = record(store, model, version)["artifact_manifest"]
    assert isinstance(stored_manifest, dict)
    return stored_manifest


def test_bytes_changed_in_place_are_an_event_a_finding_and_a_failed_verdict(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    version = registry.trained_version("churn")
    sync(tenant, store)
    before = manifest(store)
    assert verdict(store, "artifact-integrity") == "pass"

    overwrite(registry, version.run_id, "model.pkl", OTHER_BYTES)
    sync(tenant, store)
    assert manifest(store) == before, "nothing in MLflow has moved, and no rehash is due"
    sync(tenant, store, SyncOptions(rehash=True))
    third = sync(tenant, store, SyncOptions(rehash=True))

    (event,) = rows(store, "integrity_events")
    noted = [row for row in rows(store, "audit_entries", "sequence") if row["kind"] == "integrity event"]
    assert (event["kind"], event["root"], event["path"]) == ("changed", "model", "model.pkl")
    assert event["former_sha256"] == hashlib.sha256(MODEL_FILES["model.pkl"]).hexdigest()
    assert event["sha256"] == hashlib.sha256(OTHER_BYTES).hexdigest()
    assert [(row["object_name"], str(event["sha256"]) in str(row["reason"])) for row in noted] == [
        ("churn version 1", True)
    ]
    assert verdict(store, "artifact-integrity") == "fail"
    assert "changed in place" in str(record(store, "churn")["findings"])
    assert manifest(store)["changed_in_place_count"] == 1
    assert [report.progress.changed for report in third.reports] == [0] * 6


def test_bytes_that_were_changed_back_still_fail(registry: Registry, tenant: Tenant, store: Store) -> None:
    version = registry.trained_version("churn")
    sync(tenant, store)
    for content in (OTHER_BYTES, MODEL_FILES["model.pkl"]):
        overwrite(registry, version.run_id, "model.pkl", content)
        sync(tenant, store, SyncOptions(rehash=True))

    assert len(rows(store, "integrity_events")) == 2
    assert verdict(store, "artifact-integrity") == "fail"


def test_an_outage_of_the_store_does_not_hide_a_change(registry: Registry, tenant: Tenant, store: Store) -> None:
    version = registry.trained_version("churn")
    with proxy_before(tenant.tracking_uri) as proxy:
        proxied_tenant = tenant.model_copy(update={"tracking_uri": proxy.uri})
        sync(proxied_tenant, store)
        proxy.fault = always(saying(500), LISTING_ENDPOINTS)
        sync(proxied_tenant, store, SyncOptions(rehash=True))
        assert manifest(store)["status"] == "unreachable"
        overwrite(registry, version.run_id, "model.pkl", OTHER_BYTES)
        proxy.fault = lambda _: None

        sync(proxied_tenant, store, SyncOptions(rehash=True))

    assert [(row["kind"], row["path"]) for row in rows(store, "integrity_events")] == [("changed", "model.pkl")]


def test_a_file_that_is_added_to_a_registered_model_is_an_event(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    version = registry.trained_version("churn")
    sync(tenant, store)

    overwrite(registry, version.run_id, "loader.py", b"import os")
    overwrite(registry, version.run_id, "report.html", b"later on", folder="evaluation")
    sync(tenant, store, SyncOptions(rehash=True))

    assert [(row["kind"], row["path"]) for row in rows(store, "integrity_events")] == [("added", "loader.py")]


def test_a_run_in_progress_may_rewrite_its_files(registry: Registry, tenant: Tenant, store: Store) -> None:
    run_id = registry.run(files={"plots/loss.png": b"half way"}, end=False)
    registry.version("churn", run_id=run_id, source="s3://elsewhere/model")
    sync(tenant, store)

    overwrite(registry, run_id, "loss.png", b"at the end", folder="plots")
    registry.client.set_terminated(run_id)
    sync(tenant, store, SyncOptions(reconcile=True, rehash=True))

    assert rows(store, "integrity_events") == []


def test_a_recreated_model_is_not_compared_with_the_previous_one(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    version = registry.trained_version("churn")
    sync(tenant, store)
    overwrite(registry, version.run_id, "model.pkl", OTHER_BYTES)
    sync(tenant, store, SyncOptions(rehash=True))
    registry.client.delete_registered_model("churn")
    overwrite(registry, version.run_id, "model.pkl", b"a third time")

    registry.version("churn", run_id=version.run_id, source=str(version.source))
    sync(tenant, store, SyncOptions(rehash=True))

    assert len(rows(store, "integrity_events")) == 1
    assert manifest(store)["changed_in_place_count"] == 0
    assert verdict(store, "artifact-integrity") == "pass"


@pytest.mark.parametrize(("alias", "is_read_again"), [("champion", True), (None, False)])
def test_production_versions_are_rehashed_more_often(
    registry: Registry, tenant: Tenant, store: Store, alias: str | None, is_read_again: bool
) -> None:
    version = registry.trained_version("churn")
    if alias:
        registry.client.set_registered_model_alias("churn", alias, version.version)
    short_intervals = Intervals.model_construct(rehash=timedelta(microseconds=1))  # too short for a tenants.yaml
    impatient_tenant = tenant.model_copy(update={"intervals": short_intervals})
    sync(impatient_tenant, store)
    overwrite(registry, version.run_id, "model.pkl", OTHER_BYTES)

    sync(impatient_tenant, store)

    assert bool(rows(store, "integrity_events")) is is_read_again


def test_a_copy_of_a_version_reuses_its_hashes_without_reading_the_model(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    version = registry.trained_version("churn")
    with proxy_before(tenant.tracking_uri) as proxy:
        proxied_tenant = tenant.model_copy(update={"tracking_uri": proxy.uri})
        sync(proxied_tenant, store)
        proxy.forget()
        registry.client.copy_model_version("models:/churn/1", "churn-prod")

        sync(proxied_tenant, store)

        read_paths = [exchange.artifact for exchange in proxy.requests_ending_with(FILE_ENDPOINTS)]

    hashed_at = {(row["model_name"]): row["hashed_at"] for row in rows(store, "artifact_manifests")}
    assert manifest(store, "churn-prod")["digest"] == manifest(store)["digest"]
    assert read_paths
    assert not [path for path in read_paths if path.endswith("model.pkl")]
    assert hashed_at["churn-prod"] == hashed_at["churn"], "a reused hash keeps its time"
    assert version.version == "1"


def test_bytes_that_change_under_a_version_and_its_copy_are_an_event_of_each(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    version = registry.trained_version("churn")
    sync(tenant, store)
    registry.client.copy_model_version("models:/churn/1", "churn-prod")
    sync(tenant, store)

    overwrite(registry, version.run_id, "model.pkl", OTHER_BYTES)
    sync(tenant, store, SyncOptions(rehash=True))

    assert {row["model_name"] for row in rows(store, "integrity_events")} == {"churn", "churn-prod"}


def test_files_over_a_limit_are_not_read_again_by_each_reconcile(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.trained_version("churn")
    small = tenant.model_copy(update={"artifacts": Artifacts.model_validate({"max_file_bytes": 20})})
    sync(small, store)
    assert manifest(store)["status"] == "partial"

    reconcile = sync(small, store, SyncOptions(reconcile=True))

    assert reconcile.reports[3].progress.read == 0
