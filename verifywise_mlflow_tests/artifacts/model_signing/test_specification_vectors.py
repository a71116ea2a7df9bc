"""The specification's own test vectors: invalid vectors never count as valid, and valid vectors are parsed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from verifywise_mlflow.artifacts.model_signing.trust_store import TrustStore
from verifywise_mlflow.artifacts.model_signing.verification import SignatureCheck, verify_signature

VECTORS = Path(__file__).with_name("specification")
TRUST = TrustStore.from_pem([(VECTORS / "key.pem").read_bytes()], [(VECTORS / "authority.pem").read_bytes()])
FILES = {
    "signme-1": "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc",
    "signme-2": "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028",
    "ignore-me": "0" * 64,
}


def check(vector: str) -> SignatureCheck:
    return verify_signature((VECTORS / vector).read_bytes(), FILES, TRUST, datetime(2026, 6, 1, tzinfo=UTC))


@pytest.mark.parametrize("method", ["key", "certificate"])
def test_the_valid_vectors_are_valid(method: str) -> None:
    result = check(f"valid/{method}.bundle.json")

    assert (result.status, result.signed_count, result.left_out) == ("valid", 2, ("ignore-me",))


def test_the_keyless_vector_is_recognized_and_not_verified() -> None:
    result = check("valid/sigstore.bundle.json")

    assert result == SignatureCheck("not verified", "keyless signatures need Sigstore's trust root")


@pytest.mark.parametrize(
    ("vector", "expected"),
    [
        ("invalid/empty", ("not verified", "not a Sigstore bundle: not JSON: Expecting value at line 1")),
        ("invalid/missing-envelope", ("invalid", "the envelope is not an object")),
        ("invalid/missing-verification-material", ("invalid", "the verification material is not an object")),
        ("invalid/missing-tlog-entries", ("invalid", "the transparency log's entry is not a list of 1 to 100")),
        (
            "invalid-payload/wrong-predicate",
            ("not verified", "the statement is not about a model's files"),
        ),
    ],
)
def test_the_invalid_vectors_are_rejected_with_the_right_reason(vector: str, expected: tuple[str, str]) -> None:
    result = check(f"{vector}.bundle.json")

    assert (result.status, result.reason) == expected


def test_every_vector_is_tested() -> None:
    assert len(list(VECTORS.rglob("*.bundle.json"))) == 8
