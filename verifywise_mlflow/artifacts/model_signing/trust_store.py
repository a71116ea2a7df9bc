"""Whose signatures a tenant trusts: public keys, and authorities that vouch for signers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MAX_TRUSTED = 100
"""Of each kind. Every key is tried on a signature that none of them made."""

CURVES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""The keys that OMS knows, and the hash that each signs (OMS's algorithm registry, and Sigstore's)."""

PublicKey: TypeAlias = ec.EllipticCurvePublicKey

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class UnknownKeyError(ValueError):
    """A key that may be sound, but is of a kind that OMS does not know."""


class UnusableTrustError(ValueError):
    """A tenant's key or authority cannot be used. The text says which and why, and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """What a tenant trusts. Empty, every signature is by somebody else."""

    public_keys: tuple[PublicKey, ...] = ()
    authorities: tuple[x509.Certificate, ...] = ()
    """Roots or intermediates: any of them ends a chain."""

    @staticmethod
    def from_pem(public_keys: Iterable[bytes] = (), authorities: Iterable[bytes] = ()) -> TrustedKeys:
        """Read PEM files, each with one block or several.

        Raises:
            UnusableTrustError: One holds something else than public keys on a curve that OMS knows, or than
                certificates of authorities.
        """
        return TrustedKeys(
            tuple(_public_key(block) for block in _blocks(public_keys, "PUBLIC KEY", "public key")),
            tuple(_authority(block) for block in _blocks(authorities, "CERTIFICATE", "certificate")),
        )


def key_fingerprint(key: PublicKey) -> str:
    """SHA-256 of the key as a PEM file, which OMS bundles call their hint: what ``sha256sum key.pem`` says."""
    return hashlib.sha256(_encoded(key, serialization.Encoding.PEM)).hexdigest()


def names_key(hint: str, key: PublicKey) -> bool:
    """Whether ``hint`` is the fingerprint of ``key``: OMS does not say of which of its two encodings."""
    return hint.lower() in (
        key_fingerprint(key),
        hashlib.sha256(_encoded(key, serialization.Encoding.DER)).hexdigest(),
    )


def load_public_key(encoded: bytes) -> PublicKey:
    """A key as PEM or DER, on a curve that OMS knows.

    Raises:
        UnknownKeyError: It is on none.
        ValueError: It is no key. The text says what it is instead.
    """
    try:
        if encoded.lstrip().startswith(b"-----BEGIN"):
            key = serialization.load_pem_public_key(encoded)
        else:
            key = serialization.load_der_public_key(encoded)
    except UnsupportedAlgorithm as error:
        raise UnknownKeyError("a key of an unknown kind") from error
    except ValueError as error:
        raise ValueError("nothing that can be read as a public key") from error
    return signing_key(key)


def signing_key(key: object) -> PublicKey:
    """``key``, if it is one that OMS knows.

    Raises:
        UnknownKeyError: It is none.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise UnknownKeyError("a key that is not on the curve P-256, P-384 or P-521")
    return key


def _encoded(key: PublicKey, encoding: serialization.Encoding) -> bytes:
    return key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def _blocks(files: Iterable[bytes], label: str, what: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for number, content in enumerate(files, 1):
        blocks = list(_BLOCK.finditer(content))
        if not blocks or any(block[1] != label.encode() for block in blocks):
            raise UnusableTrustError(f"file {number} has to hold PEM blocks of the kind {label}, and no others")
        found += [(f"{what} {index} in file {number}", block[0]) for index, block in enumerate(blocks, 1)]
    if len(found) > MAX_TRUSTED:
        raise UnusableTrustError(f"{len(found)} {what}s are more than {MAX_TRUSTED}")
    return found


def _public_key(block: tuple[str, bytes]) -> PublicKey:
    where, content = block
    try:
        return load_public_key(content)
    except ValueError as error:
        raise UnusableTrustError(f"{where}: {error}") from error


def _authority(block: tuple[str, bytes]) -> x509.Certificate:
    where, content = block
    try:
        certificate = x509.load_pem_x509_certificate(content)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound as error:
        raise UnusableTrustError(f"{where} is not that of an authority") from error
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm) as error:
        raise UnusableTrustError(f"{where} cannot be read") from error
    if not constraints.ca:
        raise UnusableTrustError(f"{where} is not that of an authority")
    return certificate
