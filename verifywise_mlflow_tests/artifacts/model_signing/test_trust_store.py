"""The keys and authorities that a tenant can trust, and the errors for unusable ones."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from verifywise_mlflow.artifacts.model_signing.trust_store import (
    InvalidTrustStoreError,
    TrustStore,
    is_hint_for_key,
    key_fingerprint,
)
from verifywise_mlflow_tests.artifacts.model_signing.forge import KEY, NOW, certificate
from verifywise_mlflow_tests.artifacts.model_signing.signed_folder import CURVES, pem

PRIVATE = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
PEM, DER = (
    KEY.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER)
)


def public_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_file_may_contain_several_keys_and_other_text() -> None:
    key_file = b"our release keys\n" + b"\n".join(pem(f"key-{curve}") for curve in CURVES)

    trusted = TrustStore.from_pem([key_file, pem("key-p256")], [pem("authority")])

    assert [key.curve.name for key in trusted.public_keys] == ["secp256r1", "secp384r1", "secp521r1", "secp256r1"]
    assert len(trusted.authorities) == 1


@pytest.mark.parametrize(
    ("public_key", "expected_message"),
    [
        (b"", "file 1 must contain PEM blocks of the kind PUBLIC KEY"),
        (DER, "file 1 must contain PEM blocks"),
        (PRIVATE, "and no others"),
        (PEM + PRIVATE, "and no others"),
        (pem("authority"), "and no others"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "public key 1 in file 1: not a readable"),
        (PEM + public_pem(rsa.generate_private_key(65537, 2048)), "public key 2 in file 1: .* not on the curve P-256"),
        (public_pem(ec.generate_private_key(ec.SECP256K1())), "not on the curve P-256, P-384 or P-521"),
        (PEM * 101, "101 public keys exceed the limit of 100"),
    ],
    # Keys are generated per run, so test IDs derived from them would differ between parallel test processes.
    ids=("nothing", "DER", "private", "both", "certificate", "four letters", "RSA", "another curve", "too many"),
)
def test_an_unsupported_public_key_is_rejected(public_key: bytes, expected_message: str) -> None:
    with pytest.raises(InvalidTrustStoreError, match=expected_message) as refusal:
        TrustStore.from_pem(public_keys=[public_key])

    assert "BEGIN" not in str(refusal.value)


def test_a_certificate_of_a_non_authority_is_rejected() -> None:
    leaf = certificate("release", KEY, "Root", KEY, ()).public_bytes(serialization.Encoding.PEM)

    with pytest.raises(InvalidTrustStoreError, match="certificate 1 in file 2 is not the certificate of an authority"):
        TrustStore.from_pem(authorities=[pem("authority"), leaf])


def test_a_malformed_certificate_is_rejected() -> None:
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"

    with pytest.raises(InvalidTrustStoreError, match="certificate 1 in file 1 cannot be read"):
        TrustStore.from_pem(authorities=[broken])


def test_a_fingerprint_equals_sha256sum_of_the_key_file() -> None:
    assert key_fingerprint(KEY.public_key()) == hashlib.sha256(PEM).hexdigest()


def test_a_hint_may_be_the_hash_of_either_encoding() -> None:
    key = KEY.public_key()

    assert is_hint_for_key(hashlib.sha256(PEM).hexdigest().upper(), key)
    assert is_hint_for_key(hashlib.sha256(DER).hexdigest(), key)
    assert not is_hint_for_key(hashlib.sha256(NOW.isoformat().encode()).hexdigest(), key)
