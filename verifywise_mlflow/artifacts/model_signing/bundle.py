"""Parses an untrusted Sigstore bundle: the signed payload, the signature and the key material."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from verifywise_mlflow.artifacts.model_signing.spec import MEDIA_TYPE, PAYLOAD_TYPE
from verifywise_mlflow.artifacts.model_signing.strict_json import (
    InvalidJsonError,
    JsonValue,
    parse_json,
    require_list,
    require_object,
    require_text,
)

MAX_CERTIFICATES = 10
MAX_CERTIFICATE_BYTES = 64 * 1024
MAX_SIGNATURE_BYTES = 1_024
"""The longest signature that is accepted. An ECDSA signature on P-521 has 139 bytes."""

_MEDIA_TYPE_PREFIX = "application/vnd.dev.sigstore.bundle"
_MATERIAL_KINDS = ("publicKey", "x509CertificateChain", "certificate")


class NotABundleError(ValueError):
    """The bytes do not claim to be an OMS bundle: they are another kind of signature, or no signature."""


class InvalidBundleError(ValueError):
    """The bytes claim to be an OMS bundle but are malformed."""


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """The method ``key``: the bundle names a key, or contains it (before model-signing 1.1)."""

    hint: str | None
    public_key: bytes | None
    """PEM or DER."""


@dataclass(frozen=True, slots=True)
class CertificateMaterial:
    """The method ``certificate``: DER certificates, with the signer's own certificate first."""

    certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class KeylessMaterial:
    """The method ``sigstore``: a short-lived certificate and an entry in a public transparency log."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The parts of a bundle, not verified yet."""

    payload: bytes
    signature: bytes
    """The signature in DER."""
    material: KeyMaterial | CertificateMaterial | KeylessMaterial


def parse_bundle(content: bytes) -> Bundle:
    """Parse a bundle.

    Raises:
        NotABundleError: It is not an OMS bundle.
        InvalidBundleError: It is a bundle that violates the specification.
    """
    try:
        document = require_object(parse_json(content), "the document")
    except InvalidJsonError as error:
        raise NotABundleError(f"not a Sigstore bundle: {error}") from error
    media_type = document.get("mediaType")
    if not isinstance(media_type, str) or not media_type.startswith(_MEDIA_TYPE_PREFIX):
        raise NotABundleError("not a Sigstore bundle: its media type is another one or missing")
    if media_type != MEDIA_TYPE:
        raise NotABundleError("a Sigstore bundle of a version other than 0.3")
    if "messageSignature" in document and "dsseEnvelope" not in document:
        raise NotABundleError("a Sigstore bundle that signs one file, not a model")
    try:
        return _parse_document(document)
    except InvalidJsonError as error:
        raise InvalidBundleError(str(error)) from error


def _parse_document(document: dict[str, JsonValue]) -> Bundle:
    if "messageSignature" in document:
        raise InvalidBundleError("it has two signatures of different kinds")
    material = _parse_material(require_object(document.get("verificationMaterial"), "the verification material"))
    envelope = require_object(document.get("dsseEnvelope"), "the envelope")
    if require_text(envelope.get("payloadType"), "the payload's type") != PAYLOAD_TYPE:
        raise NotABundleError("a Sigstore bundle whose payload is not an in-toto statement")
    # A Sigstore bundle has exactly one signature, although DSSE allows more.
    (signature,) = require_list(envelope.get("signatures"), "the envelope's list of signatures", at_most=1)
    return Bundle(
        payload=_decode_base64(envelope.get("payload"), "the payload"),
        signature=_decode_base64(
            require_object(signature, "the signature").get("sig"), "the signature", MAX_SIGNATURE_BYTES
        ),
        material=material,
    )


def _parse_material(material: dict[str, JsonValue]) -> KeyMaterial | CertificateMaterial | KeylessMaterial:
    named = [method for method in _MATERIAL_KINDS if material.get(method) is not None]
    if len(named) != 1:
        raise InvalidBundleError(f"it has {len(named)} kinds of key material instead of one")
    value = require_object(material[named[0]], named[0])
    match named[0]:
        case "publicKey":
            return _parse_key(value)
        case "x509CertificateChain":
            chain = require_list(value.get("certificates"), "the chain of certificates", at_most=MAX_CERTIFICATES)
            return CertificateMaterial(tuple(_parse_certificate(entry) for entry in chain))
        case _:
            _parse_certificate(value)
            require_list(material.get("tlogEntries"), "the transparency log's entry", at_most=100)
            return KeylessMaterial()


def _parse_key(value: dict[str, JsonValue]) -> KeyMaterial:
    hint, public_key = value.get("hint"), value.get("rawBytes")
    if not hint and not public_key:
        raise InvalidBundleError("it does not name the key that signed it")
    return KeyMaterial(
        hint=require_text(hint, "the key hint") if hint else None,
        public_key=_decode_base64(public_key, "the public key", MAX_CERTIFICATE_BYTES) if public_key else None,
    )


def _parse_certificate(value: JsonValue) -> bytes:
    return _decode_base64(
        require_object(value, "a certificate").get("rawBytes"), "a certificate", MAX_CERTIFICATE_BYTES
    )


def _decode_base64(value: JsonValue, label: str, max_bytes: int | None = None) -> bytes:
    """Decode canonical base64 of either alphabet; DSSE requires verifiers to accept both alphabets."""
    text = require_text(value, label)
    if max_bytes is not None and len(text) > 4 * (max_bytes // 3 + 1):
        raise InvalidBundleError(f"{label} has more than {max_bytes} bytes")
    try:
        encoded = text.encode("ascii")
        decoded = base64.b64decode(encoded.translate(bytes.maketrans(b"-_", b"+/")), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise InvalidBundleError(f"{label} is not base64") from error
    if encoded not in (base64.b64encode(decoded), base64.urlsafe_b64encode(decoded)):
        raise InvalidBundleError(f"{label} is not canonical base64")
    return decoded
