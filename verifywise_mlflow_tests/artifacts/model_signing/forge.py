"""Builds malformed bundles with valid signatures, so that the signature cannot be the cause of a rejection."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from verifywise_mlflow.artifacts.model_signing.trust_store import TrustStore

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey
Extensions: TypeAlias = Iterable[tuple[x509.ExtensionType, bool]]

NOW = datetime(2026, 11, 1, tzinfo=UTC)
KEY, OTHER_KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
TRUST = TrustStore((KEY.public_key(),))
FILES = {"MLmodel": "a" * 64, "data/model.pkl": "b" * 64}
KEY_MATERIAL: dict[str, Json] = {"publicKey": {"hint": "0" * 64}, "tlogEntries": []}


def resource(name: str, digest: str, algorithm: str = "sha256") -> Json:
    return {"name": name, "digest": digest, "algorithm": algorithm}


def statement(
    resources: list[Json] | None = None, *, root: str | None = None, **serialization: Json
) -> dict[str, Json]:
    """Return a valid statement on ``FILES`` or ``resources``, with the right root digest unless ``root`` is given."""
    entries = [resource(*file) for file in FILES.items()] if resources is None else resources
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root or _root(entries)}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": entries,
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False, **serialization},
        },
    }


def sign(payload: bytes, key: PrivateKey = KEY, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
    encoded = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    return key.sign(encoded, ec.ECDSA(algorithm or hashes.SHA256()))


def bundle_document(
    signed: Mapping[str, Json] | bytes, *, key: PrivateKey = KEY, material: dict[str, Json] | None = None
) -> dict[str, Json]:
    payload = signed if isinstance(signed, bytes) else json.dumps(signed).encode()
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": KEY_MATERIAL if material is None else material,
        "dsseEnvelope": {
            "payload": base64_of(payload),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": base64_of(sign(payload, key)), "keyid": ""}],
        },
    }


def bundle(
    signed: Mapping[str, Json] | bytes, *, key: PrivateKey = KEY, material: dict[str, Json] | None = None
) -> bytes:
    return json.dumps(bundle_document(signed, key=key, material=material)).encode()


def chain_material(*certificates: x509.Certificate) -> dict[str, Json]:
    encoded: list[Json] = [
        {"rawBytes": base64_of(certificate.public_bytes(serialization.Encoding.DER))} for certificate in certificates
    ]
    return {"x509CertificateChain": {"certificates": encoded}}


def certificate(
    name: str,
    key: PrivateKey,
    issuer: str,
    issuer_key: PrivateKey,
    extensions: Extensions,
    *,
    days: tuple[int, int] = (-10, 10),
) -> x509.Certificate:
    """Return a certificate whose validity starts and ends ``days`` from ``NOW``."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _root(entries: list[Json]) -> str:
    digests = [entry["digest"] for entry in entries if isinstance(entry, dict)]
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests if isinstance(digest, str))).hexdigest()
