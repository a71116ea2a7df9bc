"""A worker's verdict ``valid`` counts only if our own process confirms it with the trusted signers."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace

import pytest

from verifywise_mlflow.artifacts.manifest import ModelSignature
from verifywise_mlflow.artifacts.model_signing.bundle import CertificateMaterial, parse_bundle
from verifywise_mlflow.artifacts.sandbox import client
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.protocol import SignatureEvidence, SignatureRequest, SignatureResponse
from verifywise_mlflow.artifacts.sandbox.response_validation import InvalidWorkerResponseError, validate_signature
from verifywise_mlflow.artifacts.sandbox.signature_confirmation import confirmed_signature
from verifywise_mlflow.artifacts.sandbox.worker_process import Worker
from verifywise_mlflow_tests.artifacts.model_signing.signed_folder import NOW, bundle, hashes, pem

CLAIMED = ModelSignature("model.sig", "valid", None, "key sha256:" + "0" * 64, 3)
REQUEST = SignatureRequest("model.sig", hashes(), (pem("key-p256").decode(),), (), NOW.timestamp())
BY_AUTHORITY = replace(REQUEST, public_keys=(), authorities=(pem("authority").decode(),))


def evidence_of(name: str) -> SignatureEvidence:
    parsed = parse_bundle(bundle(name))
    certificates = parsed.material.certificates if isinstance(parsed.material, CertificateMaterial) else ()
    payload, signature, *encoded = (
        base64.b64encode(part).decode() for part in (parsed.payload, parsed.signature, *certificates)
    )
    return SignatureEvidence(payload, signature, tuple(encoded))


@pytest.mark.parametrize(
    ("name", "request_"), [("key-p256", REQUEST), ("certificate", BY_AUTHORITY)], ids=["key", "certificate"]
)
def test_a_signature_by_a_trusted_signer_is_confirmed(name: str, request_: SignatureRequest) -> None:
    confirmed = confirmed_signature(request_, SignatureResponse(CLAIMED, evidence_of(name)))

    assert confirmed.status == "valid"
    assert confirmed.signer != CLAIMED.signer, "the signer is the one that was confirmed, not the one that was claimed"


GENUINE = evidence_of("key-p256")
OTHER = base64.b64encode(b"another payload").decode()


@pytest.mark.parametrize(
    ("request_", "evidence"),
    [
        pytest.param(replace(REQUEST, public_keys=(pem("key-p384").decode(),)), GENUINE, id="another key"),
        pytest.param(replace(REQUEST, public_keys=()), GENUINE, id="no key"),
        pytest.param(REQUEST, replace(GENUINE, payload=OTHER), id="another payload"),
        pytest.param(REQUEST, replace(GENUINE, signature=OTHER), id="another signature"),
        pytest.param(REQUEST, replace(GENUINE, payload="no Base64!"), id="no Base64"),
        pytest.param(replace(REQUEST, files={**hashes(), "new": "0" * 64}), GENUINE, id="another file"),
        pytest.param(replace(BY_AUTHORITY, authorities=()), evidence_of("certificate"), id="another authority"),
        pytest.param(REQUEST, replace(GENUINE, certificates=(OTHER,)), id="no certificate"),
    ],
)
def test_what_a_compromised_worker_claims_is_not_valid(request_: SignatureRequest, evidence: SignatureEvidence) -> None:
    confirmed = confirmed_signature(request_, SignatureResponse(CLAIMED, evidence))

    assert (confirmed.status, confirmed.signer) == ("not verified", None)


@pytest.mark.parametrize("claim", [{"reason": "x" * 9_000}, {"signer": "x" * 9_000}, {"differences": ("x" * 9_000,)}])
def test_a_compromised_worker_cannot_return_long_texts(claim: dict[str, str | tuple[str, ...]]) -> None:
    response = {"signature": {**asdict(CLAIMED), "status": "untrusted", **claim}, "evidence": None}

    with pytest.raises(InvalidWorkerResponseError):
        validate_signature(json.dumps(response).encode(), CLAIMED.path)


def test_an_unsigned_file_with_a_long_name_is_a_mismatch() -> None:
    files = {**hashes(), "x" * 9_000: "0" * 64}

    with Sandbox() as sandbox:
        signature = sandbox.verify_signature(bundle("key-p256"), replace(REQUEST, files=files))

    assert (signature.status, signature.difference_count) == ("mismatch", 1)
    assert signature.differences[0].startswith("xxx")
    assert signature.differences[0].endswith(" (unsigned)")


def test_each_bundle_has_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    workers: list[Worker] = []

    def start(program: str, memory_bytes: int, cpu_seconds: int) -> Worker:
        workers.append(Worker(program, memory_bytes, cpu_seconds))
        return workers[-1]

    monkeypatch.setattr(client, "Worker", start)
    with Sandbox() as sandbox:
        statuses = [sandbox.verify_signature(bundle("key-p256"), REQUEST).status for _ in range(2)]

    assert statuses == ["valid", "valid"]
    assert len(workers) == 2
