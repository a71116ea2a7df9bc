"""Who made a signature, and whether the tenant trusts them. Offline: nothing is asked of anybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from verifywise_mlflow.artifacts.model_signing.bundle import Bundle, CertificateChain, Keyless, NamedKey
from verifywise_mlflow.artifacts.model_signing.certificates import (
    SigningCertificate,
    UnreadableCertificateError,
    read_chain,
    why_untrusted,
)
from verifywise_mlflow.artifacts.model_signing.spec import PAYLOAD_TYPE
from verifywise_mlflow.artifacts.model_signing.text import shown
from verifywise_mlflow.artifacts.model_signing.trust_store import (
    CURVES,
    PublicKey,
    TrustedKeys,
    UnknownKeyError,
    key_fingerprint,
    load_public_key,
    names_key,
)


class BadSignatureError(ValueError):
    """The signature does not fit what it is said to sign, or the key that is said to have made it."""


class UncheckedSignatureError(ValueError):
    """Whether the signature is good cannot be told here."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose key made the signature."""

    method: Literal["key", "certificate"]
    fingerprint: str
    """SHA-256, lower-case hexadecimal: of the public key's PEM file, or of the certificate's DER."""
    subject: str | None = None
    """The certificate's (RFC 4514), which is worth what its authority is worth."""
    issuer: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """A signature that may be good, and by whom."""

    signer: Signer | None
    """Null where the bundle names a key that we do not have: then the signature could not be checked."""
    distrust: str | None
    """Why the tenant does not trust the signer; null if it does."""


def judge(bundle: Bundle, trusted: TrustedKeys, now: datetime) -> Judgement:
    """Check the signature of ``bundle``, and its signer against ``trusted`` at ``now`` (aware).

    Raises:
        BadSignatureError: It is no signature of this payload.
        UncheckedSignatureError: It needs more than keys and certificates to tell.
    """
    fits = _check_of(bundle)
    match bundle.material:
        case NamedKey():
            return _by_key(bundle.material, fits, trusted)
        case CertificateChain():
            return _by_certificate(bundle.material, fits, trusted, now)
        case Keyless():
            raise UncheckedSignatureError("keyless signatures need Sigstore's trust root")


def signed_bytes(payload: bytes) -> bytes:
    """What a signature is on: DSSE's pre-authentication encoding of the payload and its type."""
    return f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload


def _check_of(bundle: Bundle) -> Callable[[PublicKey], bool]:
    """The question whether a key made the signature. The payload is hashed once for each kind of key."""
    digests: dict[str, bytes] = {}

    def fits(key: PublicKey) -> bool:
        algorithm = CURVES[key.curve.name]
        if algorithm.name not in digests:
            hashing = hashes.Hash(algorithm)
            hashing.update(signed_bytes(bundle.payload))
            digests[algorithm.name] = hashing.finalize()
        try:
            key.verify(bundle.signature, digests[algorithm.name], ec.ECDSA(utils.Prehashed(algorithm)))
        except InvalidSignature:
            return False
        return True

    return fits


def _by_key(named: NamedKey, fits: Callable[[PublicKey], bool], trusted: TrustedKeys) -> Judgement:
    # The hint is not signed and need not be right: what counts is whether a trusted key made the signature.
    for key in trusted.public_keys:
        if fits(key):
            return Judgement(Signer("key", key_fingerprint(key)), None)
    if named.public_key is not None:
        try:
            key = load_public_key(named.public_key)
        except UnknownKeyError as error:
            raise UncheckedSignatureError(f"the bundle has {error}") from error
        except ValueError as error:
            raise BadSignatureError(f"the bundle's key is {error}") from error
        if not fits(key):
            raise BadSignatureError("the signature is not by the key in the bundle")
        return Judgement(Signer("key", key_fingerprint(key)), "its key is none that is trusted")
    hint = named.hint or ""
    if any(names_key(hint, key) for key in trusted.public_keys):
        raise BadSignatureError("the signature is not by the trusted key that the bundle names")
    return Judgement(
        None, f"it names the key {shown(hint)}, which is none that is trusted, and without which it cannot be checked"
    )


def _by_certificate(
    material: CertificateChain, fits: Callable[[PublicKey], bool], trusted: TrustedKeys, now: datetime
) -> Judgement:
    try:
        leaf, *intermediates = read_chain(material.certificates)
        certificate = SigningCertificate.of(leaf)
    except UnknownKeyError as error:
        raise UncheckedSignatureError(f"the signer's certificate has {error}") from error
    except UnreadableCertificateError as error:
        raise BadSignatureError(str(error)) from error
    if not fits(certificate.public_key):
        raise BadSignatureError("the signature is not by the certificate in the bundle")
    return Judgement(
        Signer("certificate", certificate.fingerprint, certificate.subject, certificate.issuer),
        why_untrusted(leaf, intermediates, trusted.authorities, now),
    )
