"""A tenant's trust store: public keys, and certificate authorities that vouch for signers."""

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

MAX_TRUSTED_KEYS = 100
"""The maximum number of keys, and of authorities. For a signature by an unknown key, every trusted key is tried."""

SUPPORTED_CURVES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""The curves that OMS supports, each with the hash that is signed with it (from OMS's and Sigstore's registries of
algorithms)."""

PublicKey: TypeAlias = ec.EllipticCurvePublicKey

_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


class UnsupportedKeyError(ValueError):
    """A key of a kind that OMS does not support."""


class InvalidTrustStoreError(ValueError):
    """A tenant's key or authority cannot be used. The message states which of them and why, without quoting it."""


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Trusted keys and authorities. If empty, no signer is trusted."""

    public_keys: tuple[PublicKey, ...] = ()
    authorities: tuple[x509.Certificate, ...] = ()
    """Roots or intermediates. Either can end a chain."""

    @staticmethod
    def from_pem(public_keys: Iterable[bytes] = (), authorities: Iterable[bytes] = ()) -> TrustStore:
        """Read PEM files, each with one or more blocks.

        Raises:
            InvalidTrustStoreError: A file contains anything other than public keys on a supported curve, or
                certificates of authorities; or the files contain more than ``MAX_TRUSTED_KEYS`` of one kind.
        """
        return TrustStore(
            tuple(_parse_public_key(block) for block in _pem_blocks(public_keys, "PUBLIC KEY", "public key")),
            tuple(_parse_authority(block) for block in _pem_blocks(authorities, "CERTIFICATE", "certificate")),
        )


def key_fingerprint(key: PublicKey) -> str:
    """Return the SHA-256 of the key's PEM file, as ``sha256sum key.pem`` prints it: the key hint in OMS bundles."""
    return hashlib.sha256(_encode(key, serialization.Encoding.PEM)).hexdigest()


def is_hint_for_key(hint: str, key: PublicKey) -> bool:
    """Whether ``hint`` is the fingerprint of ``key`` in PEM or DER; OMS does not specify which encoding is hashed."""
    return hint.lower() in (
        key_fingerprint(key),
        hashlib.sha256(_encode(key, serialization.Encoding.DER)).hexdigest(),
    )


def load_public_key(encoded: bytes) -> PublicKey:
    """Parse a public key, PEM or DER, on a curve that OMS supports.

    Raises:
        UnsupportedKeyError: The key is on another curve or of another kind.
        ValueError: It is not a public key.
    """
    try:
        if encoded.lstrip().startswith(b"-----BEGIN"):
            key = serialization.load_pem_public_key(encoded)
        else:
            key = serialization.load_der_public_key(encoded)
    except UnsupportedAlgorithm as error:
        raise UnsupportedKeyError("a key of an unsupported kind") from error
    except ValueError as error:
        raise ValueError("not a readable public key") from error
    return require_supported_key(key)


def require_supported_key(key: object) -> PublicKey:
    """Return ``key`` if OMS supports it.

    Raises:
        UnsupportedKeyError: OMS does not support the key.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in SUPPORTED_CURVES:
        raise UnsupportedKeyError("a key that is not on the curve P-256, P-384 or P-521")
    return key


def _encode(key: PublicKey, encoding: serialization.Encoding) -> bytes:
    return key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


def _pem_blocks(files: Iterable[bytes], pem_kind: str, label: str) -> list[tuple[str, bytes]]:
    labeled_blocks: list[tuple[str, bytes]] = []
    for number, content in enumerate(files, 1):
        blocks = list(_PEM_BLOCK.finditer(content))
        if not blocks or any(block[1] != pem_kind.encode() for block in blocks):
            raise InvalidTrustStoreError(f"file {number} must contain PEM blocks of the kind {pem_kind} and no others")
        labeled_blocks += [(f"{label} {index} in file {number}", block[0]) for index, block in enumerate(blocks, 1)]
    if len(labeled_blocks) > MAX_TRUSTED_KEYS:
        raise InvalidTrustStoreError(f"{len(labeled_blocks)} {label}s exceed the limit of {MAX_TRUSTED_KEYS}")
    return labeled_blocks


def _parse_public_key(block: tuple[str, bytes]) -> PublicKey:
    where, content = block
    try:
        return load_public_key(content)
    except ValueError as error:
        raise InvalidTrustStoreError(f"{where}: {error}") from error


def _parse_authority(block: tuple[str, bytes]) -> x509.Certificate:
    where, content = block
    try:
        certificate = x509.load_pem_x509_certificate(content)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound as error:
        raise InvalidTrustStoreError(f"{where} is not the certificate of an authority") from error
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm) as error:
        raise InvalidTrustStoreError(f"{where} cannot be read") from error
    if not constraints.ca:
        raise InvalidTrustStoreError(f"{where} is not the certificate of an authority")
    return certificate
