"""Runs each kind of verification once before the lockdown: Python and cryptography load modules on first use."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from verifywise_mlflow.artifacts.manifest import SignatureStatus
from verifywise_mlflow.artifacts.model_signing.signature_check import pre_authentication_encoding
from verifywise_mlflow.artifacts.model_signing.spec import (
    MEDIA_TYPE,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    root_digest,
)
from verifywise_mlflow.artifacts.model_signing.trust_store import TrustStore
from verifywise_mlflow.artifacts.model_signing.verification import verify_signature

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_FILES = {"ä": "0" * 64}


def warm_up() -> list[SignatureStatus]:
    """Sign with a throw-away key. Verify by key, by certificate, by an expired certificate, and without a bundle."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key)
    public_pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    trusted = TrustStore.from_pem([public_pem], [certificate.public_bytes(serialization.Encoding.PEM)])
    by_key = _bundle(key, {"publicKey": {"hint": "0" * 64}})
    der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    by_certificate = _bundle(key, {"x509CertificateChain": {"certificates": [{"rawBytes": der}]}})
    checks = [
        verify_signature(by_key, _FILES, trusted, _NOW),
        verify_signature(by_certificate, _FILES, trusted, _NOW),
        verify_signature(by_certificate, _FILES, trusted, _NOW + timedelta(days=2)),
        verify_signature(b"\xff", _FILES, trusted, _NOW),
    ]
    return [check.status for check in checks]


def _bundle(key: ec.EllipticCurvePrivateKey, material: object) -> bytes:
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "model", "digest": {"sha256": root_digest(_FILES.values())}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "resources": [{"name": path, "digest": sha256, "algorithm": "sha256"} for path, sha256 in _FILES.items()],
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
        },
    }
    payload = json.dumps(statement).encode()
    signature = key.sign(pre_authentication_encoding(payload), ec.ECDSA(hashes.SHA256()))
    document = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode()}],
        },
    }
    return json.dumps(document).encode()


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "warm-up")])
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_NOW)
        .not_valid_after(_NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                **usage,
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .sign(key, hashes.SHA256())
    )
