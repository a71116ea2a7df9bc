"""Keys are compatible with openssl, and an unusable key is rejected by an error that does not quote it."""

from __future__ import annotations

import subprocess
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from verifywise_mlflow.audit.checkpoint import parse_claim, verify_claim
from verifywise_mlflow.audit.keys import InvalidKeyError, PublicKey, SigningKey
from verifywise_mlflow_tests.support.audit_chains import KEY, make_chain_of_length, signed_checkpoint

RSA = generate_private_key(65_537, 2_048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
LOCKED = load_pem_private_key(KEY.pem(), None).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2")
)


def test_a_key_round_trips_through_pem() -> None:
    reloaded_key = SigningKey.from_pem(KEY.pem())
    public = PublicKey.from_pem(reloaded_key.public.pem().encode())

    checkpoint = signed_checkpoint(make_chain_of_length(1)[0], reloaded_key).checkpoint

    assert verify_claim(checkpoint, [public]) == parse_claim(checkpoint)
    assert parse_claim(checkpoint).key_id == public.key_id == KEY.key_id


def test_a_key_id_equals_the_hash_by_openssl() -> None:
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-outform", "DER"],
        input=KEY.public.pem().encode(),
        capture_output=True,
        check=True,
    ).stdout

    assert KEY.key_id == f"sha256:{sha256(der).hexdigest()}"


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"", "not a private key in PEM"),
        (KEY.public.pem().encode(), "not a private key in PEM"),
        (LOCKED, "without a password"),
        (RSA, "a kind other than Ed25519"),
    ],
)
def test_an_unusable_signing_key_is_rejected(pem: bytes, reason: str) -> None:
    with pytest.raises(InvalidKeyError, match=reason):
        SigningKey.from_pem(pem)


def test_a_private_key_is_rejected_as_public_key() -> None:
    with pytest.raises(InvalidKeyError, match="it is a private key, which its owner must keep secret"):
        PublicKey.from_pem(KEY.pem())


def test_a_public_key_that_an_editor_on_windows_saved_is_read() -> None:
    saved = b"\xef\xbb\xbf" + KEY.public.pem().replace("\n", "\r\n").encode()

    assert PublicKey.from_pem(saved).key_id == KEY.key_id
