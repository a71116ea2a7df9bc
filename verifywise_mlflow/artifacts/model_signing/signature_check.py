"""Checks who made a signature and whether the tenant trusts the signer. Offline: no network request is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from verifywise_mlflow.artifacts.model_signing.bundle import Bundle, CertificateMaterial, KeylessMaterial, KeyMaterial
from verifywise_mlflow.artifacts.model_signing.certificates import (
    InvalidCertificateError,
    SigningCertificate,
    distrust_reason,
    load_chain,
)
from verifywise_mlflow.artifacts.model_signing.spec import PAYLOAD_TYPE
from verifywise_mlflow.artifacts.model_signing.trust_store import (
    SUPPORTED_CURVES,
    PublicKey,
    TrustStore,
    UnsupportedKeyError,
    is_hint_for_key,
    key_fingerprint,
    load_public_key,
)
from verifywise_mlflow.common.untrusted_text import excerpt


class BadSignatureError(ValueError):
    """The signature does not match its payload, or the key that the bundle names."""


class UnsupportedSignatureError(ValueError):
    """The signature is of a kind that cannot be checked here."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The owner of the key that made the signature."""

    method: Literal["key", "certificate"]
    fingerprint: str
    """SHA-256 in lowercase hexadecimal, of the public key's PEM file or of the certificate's DER."""
    subject: str | None = None
    """The certificate's subject (RFC 4514). It is as trustworthy as the certificate's authority."""
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class SignerVerdict:
    """The signer of a signature that was not found to be bad, and whether the tenant trusts this signer."""

    signer: Signer | None
    """Null if the bundle only names a key that the tenant does not trust: the signature then could not be checked."""
    distrust_reason: str | None
    """Why the tenant does not trust the signer; null if the tenant trusts the signer."""


def check_signature(bundle: Bundle, trusted: TrustStore, now: datetime) -> SignerVerdict:
    """Check the signature of ``bundle``, and its signer against ``trusted`` at ``now`` (aware).

    Raises:
        BadSignatureError: The signature does not match the payload, or the bundle's key or certificate is unreadable.
        UnsupportedSignatureError: The check needs more than keys and certificates, or OMS does not support the key.
    """
    is_signed_by = _signature_verifier(bundle)
    match bundle.material:
        case KeyMaterial():
            return _check_key(bundle.material, is_signed_by, trusted)
        case CertificateMaterial():
            return _check_certificate(bundle.material, is_signed_by, trusted, now)
        case KeylessMaterial():
            raise UnsupportedSignatureError("keyless signatures need Sigstore's trust root")


def pre_authentication_encoding(payload: bytes) -> bytes:
    """Return the bytes that are signed: DSSE's pre-authentication encoding (PAE) of the payload and its type."""
    return f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def _signature_verifier(bundle: Bundle) -> Callable[[PublicKey], bool]:
    """Return a function that tests whether a key made the signature. It hashes the payload once per kind of key."""
    digests: dict[str, bytes] = {}

    def is_signed_by(key: PublicKey) -> bool:
        algorithm = SUPPORTED_CURVES[key.curve.name]
        if algorithm.name not in digests:
            hashing = hashes.Hash(algorithm)
            hashing.update(pre_authentication_encoding(bundle.payload))
            digests[algorithm.name] = hashing.finalize()
        try:
            key.verify(bundle.signature, digests[algorithm.name], ec.ECDSA(utils.Prehashed(algorithm)))
        except InvalidSignature:
            return False
        return True

    return is_signed_by


def _check_key(named: KeyMaterial, is_signed_by: Callable[[PublicKey], bool], trusted: TrustStore) -> SignerVerdict:
    # The hint is not signed and may be wrong, so every trusted key is tried.
    for key in trusted.public_keys:
        if is_signed_by(key):
            return SignerVerdict(Signer("key", key_fingerprint(key)), None)
    if named.public_key is not None:
        try:
            key = load_public_key(named.public_key)
        except UnsupportedKeyError as error:
            raise UnsupportedSignatureError(f"the bundle contains {error}") from error
        except ValueError as error:
            raise BadSignatureError(f"the bundle's key is {error}") from error
        if not is_signed_by(key):
            raise BadSignatureError("the signature is not by the key in the bundle")
        return SignerVerdict(Signer("key", key_fingerprint(key)), "the tenant does not trust its key")
    hint = named.hint or ""
    if any(is_hint_for_key(hint, key) for key in trusted.public_keys):
        raise BadSignatureError("the signature is not by the trusted key that the bundle names")
    return SignerVerdict(
        None,
        f"it names the key {excerpt(hint)}, which the tenant does not trust and without which it cannot be checked",
    )


def _check_certificate(
    material: CertificateMaterial, is_signed_by: Callable[[PublicKey], bool], trusted: TrustStore, now: datetime
) -> SignerVerdict:
    try:
        leaf, *intermediates = load_chain(material.certificates)
        certificate = SigningCertificate.from_x509(leaf)
    except UnsupportedKeyError as error:
        raise UnsupportedSignatureError(f"the signer's certificate has {error}") from error
    except InvalidCertificateError as error:
        raise BadSignatureError(str(error)) from error
    if not is_signed_by(certificate.public_key):
        raise BadSignatureError("the signature is not by the certificate in the bundle")
    return SignerVerdict(
        Signer("certificate", certificate.fingerprint, certificate.subject, certificate.issuer),
        distrust_reason(leaf, intermediates, trusted.authorities, now),
    )
