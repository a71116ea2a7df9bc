"""A version with more files than the tenant's limits costs a few requests, not as many as the limit allows."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from verifywise_mlflow.http.settings import Limits
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.pipeline.artifact_folders import ArtifactFolders
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry
from verifywise_mlflow_tests.support.syncing import record, rows, sync


def manifest(store: Store, model: str) -> Mapping[str, object]:
    stored_manifest = record(store, model)["artifact_manifest"]
    assert isinstance(stored_manifest, dict)
    return stored_manifest


@pytest.mark.parametrize(
    ("directories", "files_each", "listings", "ahead", "reason"),
    [
        (2_001, 1, 1, 0, "model: the listing stops: there are more than 2000 directories"),
        (60, 6, 18, 2 * Limits().max_concurrent_requests + 1, "model: the listing stops at 100 files, the limit"),
        (1, 500, 2, 0, "model: the listing stops at 100 files, the limit"),
    ],
)
def test_a_version_with_too_many_files_is_neither_listed_to_the_limit_nor_hashed(
    registry: Registry,
    tenant: Tenant,
    store: Store,
    artifact_folders: ArtifactFolders,
    directories: int,
    files_each: int,
    listings: int,
    ahead: int,
    reason: str,
) -> None:
    folder = artifact_folders.of_version(registry.trained_version("large"))
    for number in range(directories):
        (folder / f"d{number:04}").mkdir()
        for name in range(files_each):
            (folder / f"d{number:04}" / f"{name:04}").write_bytes(b"x")
    registry.trained_version("small")
    few_files = tenant.model_copy(update={"artifacts": Artifacts.model_validate({"max_files": 100})})

    first = sync(few_files, store)
    reconcile = sync(few_files, store, SyncOptions(reconcile=True))

    small_requests = 2 + len(MODEL_FILES)  # the model's folder, and the run's
    environment_files = len(MODEL_FILES) - 1  # read to parse them, without model.pkl
    of_large = first.reports[3].requests - 1 - environment_files - small_requests
    assert listings <= of_large <= listings + ahead, "besides those that were under way when the limit showed"
    assert str(manifest(store, "large")["reason"]).startswith(reason)
    assert manifest(store, "small")["status"] == "complete"
    assert reconcile.reports[3].progress.read == 0, "reading it again would add nothing"


def test_a_flood_of_files_does_not_hide_that_they_were_added(
    registry: Registry, tenant: Tenant, store: Store, artifact_folders: ArtifactFolders
) -> None:
    folder = artifact_folders.of_version(registry.trained_version("churn"))
    few_files = tenant.model_copy(update={"artifacts": Artifacts.model_validate({"max_files": 10})})
    sync(few_files, store)

    for number in range(20):
        (folder / f"{number:02}").write_bytes(b"x")
    sync(few_files, store, SyncOptions(rehash=True))

    assert {row["kind"] for row in rows(store, "integrity_events")} == {"added"}
