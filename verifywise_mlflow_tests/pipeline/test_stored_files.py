"""Files that the tracking server does not serve are read from their store, if the tenant allows that store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from verifywise_mlflow.artifacts.environment.reproducibility import ENVIRONMENT_FILES
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.artifacts.stores import backends
from verifywise_mlflow_tests.artifacts.stores.backends import Backend
from verifywise_mlflow_tests.support.registry import MODEL_FILES, Registry
from verifywise_mlflow_tests.support.syncing import record, rows, sync


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """A bucket with a model in it, and a second bucket."""
    monkeypatch.setenv("STORE_KEY_ID", "anybody")
    monkeypatch.setenv("STORE_SECRET", "anything")
    bucket = backends.s3(s3_endpoint)
    bucket.fill({f"models/churn/{name}": content for name, content in MODEL_FILES.items()})
    bucket.fill({"models/churn-2/model.pkl": b"of another model"})
    return bucket


def with_store(tenant: Tenant, description: Mapping[str, object], **artifacts: object) -> Tenant:
    artifact_settings = Artifacts.model_validate({"stores": [dict(description)], **artifacts})
    return tenant.model_copy(update={"artifacts": artifact_settings})


def in_bucket(tenant: Tenant, bucket: Backend, prefix: str = "models", **artifacts: object) -> Tenant:
    return with_store(tenant, {"prefix": f"{bucket.uri}/{prefix}", **bucket.description}, **artifacts)


def manifest(store: Store) -> Mapping[str, object]:
    stored_manifest = record(store, "churn")["artifact_manifest"]
    assert isinstance(stored_manifest, dict)
    return stored_manifest


def test_a_model_in_a_bucket_of_the_tenants_is_hashed_there(
    registry: Registry, tenant: Tenant, store: Store, bucket: Backend
) -> None:
    registry.version("churn", source=f"{bucket.uri}/models/churn")
    sync(tenant, store)
    without_leave = manifest(store)

    run = sync(in_bucket(tenant, bucket), store)

    hashes = {file["path"]: file["sha256"] for file in manifest(store)["files"]}  # type: ignore[attr-defined]
    assert without_leave["status"] == "unreachable"
    assert manifest(store)["status"] == "complete"
    assert hashes == {name: hashlib.sha256(content).hexdigest() for name, content in MODEL_FILES.items()}
    assert record(store, "churn")["runtime_environment"]["python_version"] == "3.11.7"  # type: ignore[index]
    assert run.reports[3].counts()["store_requests"] == 1 + len(MODEL_FILES), "one listing, then the bytes"


@pytest.mark.parametrize("artifacts", [{}, {"allowed_locations": ["s3://elsewhere"]}])
def test_files_outside_the_tenants_stores_are_never_requested(
    registry: Registry, tenant: Tenant, store: Store, bucket: Backend, artifacts: Mapping[str, object]
) -> None:
    registry.version("churn", source=f"{bucket.uri}/models/churn")
    prefix = "models" if artifacts else "models/chur"

    run = sync(in_bucket(tenant, bucket, prefix, **artifacts), store)

    assert manifest(store)["status"] == "unreachable"
    assert "store_requests" not in run.reports[3].counts()


def test_bytes_changed_in_a_bucket_are_an_integrity_event(
    registry: Registry, tenant: Tenant, store: Store, bucket: Backend
) -> None:
    registry.version("churn", source=f"{bucket.uri}/models/churn")
    tenant_in_bucket = in_bucket(tenant, bucket)
    sync(tenant_in_bucket, store)

    bucket.put("models/churn/model.pkl", b"\x80\x05 other bytes of the same place")
    sync(tenant_in_bucket, store, SyncOptions(rehash=True))

    assert [(row["kind"], row["path"]) for row in rows(store, "integrity_events")] == [("changed", "model.pkl")]


def test_objects_are_downloaded_again_if_the_store_shows_a_change_or_the_rehash_is_due(
    registry: Registry, tenant: Tenant, store: Store, bucket: Backend
) -> None:
    registry.version("churn", source=f"{bucket.uri}/models/churn")
    bucket.put("models/churn/tokenizer.bin", b"words")
    parsed = len([name for name in MODEL_FILES if name in ENVIRONMENT_FILES])

    def sync_again(max_depth: int, *, rehash: bool = False) -> tuple[object, object]:
        """Sync with changed settings, so that every manifest is due; return the store's requests and the hash time."""
        run = sync(in_bucket(tenant, bucket, max_depth=max_depth), store, SyncOptions(rehash=rehash))
        (row,) = rows(store, "artifact_manifests")
        return run.reports[3].counts()["store_requests"], row["hashed_at"]

    everything, first_hashed_at = sync_again(11)
    assert everything == 1 + len(MODEL_FILES) + 1

    assert sync_again(12) == (1 + parsed, first_hashed_at), "the listing, and what is parsed"

    bucket.put("models/churn/model.pkl", MODEL_FILES["model.pkl"][::-1])
    assert sync_again(13) == (1 + parsed + 1, first_hashed_at), "and the object that was overwritten"
    assert [(row["kind"], row["path"]) for row in rows(store, "integrity_events")] == [("changed", "model.pkl")]

    requests, hashed_at = sync_again(13, rehash=True)
    assert requests == everything
    assert hashed_at != first_hashed_at


def test_an_unsupported_source_is_reported_and_stops_nothing_else(
    registry: Registry, tenant: Tenant, store: Store
) -> None:
    registry.version("churn", source="dbfs:/databricks/models/churn")
    registry.trained_version("fraud")

    sync(tenant, store)

    fraud = record(store, "fraud")["artifact_manifest"]
    assert manifest(store)["status"] == "unreachable"
    assert "dbfs:/databricks/models/churn" in str(manifest(store)["reason"])
    assert isinstance(fraud, dict)
    assert fraud["status"] == "complete"
