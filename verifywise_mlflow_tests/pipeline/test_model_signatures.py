"""A signature next to a model is verified against the hashes of the same read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.model_signing.statement import oms_statement
from verifywise_mlflow.http.errors import InvalidSettingsError
from verifywise_mlflow.persistence.repositories import manifests
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.artifacts.model_signing.signed_folder import FILES, bundle, payload, pem
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import record, rows, sync


def register(registry: Registry, files: Mapping[str, bytes]) -> None:
    run_id = registry.run(files={f"model/{path}": content for path, content in files.items()})
    registry.version("churn", run_id=run_id, source=f"runs:/{run_id}/model")


def trusting(tenant: Tenant, folder: Path, *keys: bytes) -> Tenant:
    paths = []
    for number, key in enumerate(keys):
        path = folder / f"key-{number}.pem"
        path.write_bytes(key)
        paths.append(str(path))
    artifacts = Artifacts.model_validate({"trusted_signers": {"public_keys": paths}})
    return tenant.model_copy(update={"artifacts": artifacts})


def signature(store: Store) -> Mapping[str, object]:
    stored_manifest = record(store, "churn")["artifact_manifest"]
    assert isinstance(stored_manifest, dict)
    (only,) = stored_manifest["signatures"]
    assert isinstance(only, dict)
    return only


def verdict(store: Store) -> str:
    (verdict_text,) = [
        row["verdict"] for row in rows(store, "compliance_results") if row["rule_id"] == "model-signature"
    ]
    return str(verdict_text)


SIGNED = {**FILES, "model.sig": bundle("key-p256")}


def test_a_model_that_matches_a_trusted_signature_passes(
    registry: Registry, tenant: Tenant, store: Store, tmp_path: Path
) -> None:
    register(registry, SIGNED)

    sync(trusting(tenant, tmp_path, pem("key-p256")), store)

    assert (signature(store)["path"], signature(store)["status"]) == ("model.sig", "valid")
    assert str(signature(store)["signer"]).startswith("key sha256:")
    assert verdict(store) == "pass"


def test_the_exported_statement_has_the_signers_root_digest(registry: Registry, tenant: Tenant, store: Store) -> None:
    register(registry, SIGNED)
    sync(tenant, store)

    with store.begin("acme") as session:
        manifest = manifests.manifest_by_key(session, ("churn", 1))

    assert manifest is not None
    reference_subject = payload(bundle("key-p256"))["subject"]
    assert isinstance(reference_subject, list)
    assert oms_statement(manifest)["subject"][0]["digest"] == reference_subject[0]["digest"]


def test_a_model_with_other_bytes_than_were_signed_fails(
    registry: Registry, tenant: Tenant, store: Store, tmp_path: Path
) -> None:
    register(registry, {**SIGNED, "data/weights.bin": b"other weights"})

    sync(trusting(tenant, tmp_path, pem("key-p256")), store)

    assert signature(store)["status"] == "mismatch"
    assert signature(store)["differences"] == ["data/weights.bin (changed)"]
    assert verdict(store) == "fail"


def test_a_signature_by_an_untrusted_signer_is_no_evidence(registry: Registry, tenant: Tenant, store: Store) -> None:
    register(registry, SIGNED)

    sync(tenant, store)

    assert signature(store)["status"] == "untrusted"
    assert verdict(store) == "not evidenced"


def test_a_model_without_a_signature_is_not_evaluated_for_it(registry: Registry, tenant: Tenant, store: Store) -> None:
    registry.trained_version("churn")

    sync(tenant, store)

    assert verdict(store) == "not applicable"


def test_an_unusable_signer_is_reported_with_its_file(
    registry: Registry, tenant: Tenant, store: Store, tmp_path: Path
) -> None:
    registry.trained_version("churn")

    with pytest.raises(InvalidSettingsError, match="trusted_signers"):
        sync(trusting(tenant, tmp_path, json.dumps({"no": "key"}).encode()), store)


def test_decoys_do_not_hide_a_signature_that_fails(
    registry: Registry, tenant: Tenant, store: Store, tmp_path: Path
) -> None:
    decoys = {f"a{number}.sig": bundle("key-p384") for number in range(6)}
    register(registry, {**SIGNED, **decoys})

    sync(trusting(tenant, tmp_path, pem("key-p256")), store)

    # The decoys are files that were not signed, too.
    assert verdict(store) == "fail"
