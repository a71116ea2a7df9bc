"""A Sigstore bundle from a stranger, taken apart: what was signed, the signature, and what it says of its key."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from verifywise_mlflow.artifacts.model_signing.spec import MEDIA_TYPE, PAYLOAD_TYPE
from verifywise_mlflow.artifacts.model_signing.strict_json import (
    JsonValue,
    RefusedJsonError,
    list_in,
    object_in,
    read_json,
    text_in,
)

MAX_CERTIFICATES = 10
MAX_CERTIFICATE_BYTES = 64 * 1024
MAX_SIGNATURE_BYTES = 1_024
"""ECDSA on P-521 has 139."""

_ANY_BUNDLE = "application/vnd.dev.sigstore.bundle"
_METHODS = ("publicKey", "x509CertificateChain", "certificate")


class NoModelSignatureError(ValueError):
    """The bytes do not claim to be an OMS bundle: a signature of another kind, or no signature."""


class BrokenBundleError(ValueError):
    """The bytes claim to be an OMS bundle, and are not."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """The method ``key``: the bundle names a key, or brings it (before model-signing 1.1)."""

    hint: str | None
    public_key: bytes | None
    """PEM or DER."""


@dataclass(frozen=True, slots=True)
class CertificateChain:
    """The method ``certificate``: DER, the signer's own first."""

    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Keyless:
    """The method ``sigstore``: a certificate of some minutes, and an entry in a public log."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle holds; nothing of it is believed yet."""

    payload: bytes
    signature: bytes
    """DER."""
    material: NamedKey | CertificateChain | Keyless


def read_bundle(content: bytes) -> Bundle:
    """Take a bundle apart.

    Raises:
        NoModelSignatureError: It is something else.
        BrokenBundleError: It is a bundle, but not as the specification has it.
    """
    try:
        document = object_in(read_json(content), "the document")
    except RefusedJsonError as error:
        raise NoModelSignatureError(f"no Sigstore bundle: {error}") from error
    media_type = document.get("mediaType")
    if not isinstance(media_type, str) or not media_type.startswith(_ANY_BUNDLE):
        raise NoModelSignatureError("no Sigstore bundle: it does not say that it is one")
    if media_type != MEDIA_TYPE:
        raise NoModelSignatureError("a Sigstore bundle of another version than 0.3")
    if "messageSignature" in document and "dsseEnvelope" not in document:
        raise NoModelSignatureError("a Sigstore bundle that signs one file, and no model")
    try:
        return _read(document)
    except RefusedJsonError as error:
        raise BrokenBundleError(str(error)) from error


def _read(document: dict[str, JsonValue]) -> Bundle:
    if "messageSignature" in document:
        raise BrokenBundleError("two signatures of different kinds")
    material = _material(object_in(document.get("verificationMaterial"), "the verification material"))
    envelope = object_in(document.get("dsseEnvelope"), "the envelope")
    if text_in(envelope.get("payloadType"), "the payload's type") != PAYLOAD_TYPE:
        raise NoModelSignatureError("a Sigstore bundle whose payload is no in-toto statement")
    # Sigstore bundles have exactly one, although DSSE allows more.
    (signature,) = list_in(envelope.get("signatures"), "what the envelope has for signatures", at_most=1)
    return Bundle(
        payload=_bytes(envelope.get("payload"), "the payload"),
        signature=_bytes(object_in(signature, "the signature").get("sig"), "the signature", MAX_SIGNATURE_BYTES),
        material=material,
    )


def _material(material: dict[str, JsonValue]) -> NamedKey | CertificateChain | Keyless:
    named = [method for method in _METHODS if material.get(method) is not None]
    if len(named) != 1:
        raise BrokenBundleError(f"{len(named)} kinds of key material instead of one")
    value = object_in(material[named[0]], named[0])
    match named[0]:
        case "publicKey":
            return _named_key(value)
        case "x509CertificateChain":
            chain = list_in(value.get("certificates"), "the chain of certificates", at_most=MAX_CERTIFICATES)
            return CertificateChain(tuple(_certificate(entry) for entry in chain))
        case _:
            _certificate(value)
            list_in(material.get("tlogEntries"), "the transparency log's entry", at_most=100)
            return Keyless()


def _named_key(value: dict[str, JsonValue]) -> NamedKey:
    hint, public_key = value.get("hint"), value.get("rawBytes")
    if not hint and not public_key:
        raise BrokenBundleError("it does not say which key signed it")
    return NamedKey(
        hint=text_in(hint, "the hint at the key") if hint else None,
        public_key=_bytes(public_key, "the public key", MAX_CERTIFICATE_BYTES) if public_key else None,
    )


def _certificate(value: JsonValue) -> bytes:
    return _bytes(object_in(value, "a certificate").get("rawBytes"), "a certificate", MAX_CERTIFICATE_BYTES)


def _bytes(value: JsonValue, what: str, max_bytes: int | None = None) -> bytes:
    """Base64 in its one canonical form, of either alphabet: DSSE has verifiers accept both."""
    text = text_in(value, what)
    if max_bytes is not None and len(text) > 4 * (max_bytes // 3 + 1):
        raise BrokenBundleError(f"{what} has more than {max_bytes} bytes")
    try:
        encoded = text.encode("ascii")
        decoded = base64.b64decode(encoded.translate(bytes.maketrans(b"-_", b"+/")), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise BrokenBundleError(f"{what} is no base64") from error
    if encoded not in (base64.b64encode(decoded), base64.urlsafe_b64encode(decoded)):
        raise BrokenBundleError(f"{what} is base64 that no encoder writes")
    return decoded
