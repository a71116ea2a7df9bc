"""The Ed25519 keys that sign and verify checkpoints, in PEM."""

from __future__ import annotations

import hashlib
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


class InvalidKeyError(ValueError):
    """The text is not a usable key. The message never quotes it."""


class PublicKey:
    """A public key that verifies signatures."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = f"sha256:{hashlib.sha256(spki).hexdigest()}"
        """SHA-256 of the key as DER SubjectPublicKeyInfo: ``openssl pkey -pubin -outform DER | sha256sum``."""

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """Parse a key that ``pem`` or ``openssl pkey -pubout`` wrote.

        Raises:
            InvalidKeyError: The text is not such a key.
        """
        if b"PRIVATE KEY" in pem:
            raise InvalidKeyError(
                "it is a private key, which its owner must keep secret: pass the public key, see audit public-key"
            )
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise InvalidKeyError("it is not a public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise InvalidKeyError("it is a public key of a kind other than Ed25519")
        return cls(key)

    def pem(self) -> str:
        """Return the key as PEM."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    def has_signed(self, signature: bytes, data: bytes) -> bool:
        """Whether this key made the signature over the data."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


class Signer(Protocol):
    """A signer of checkpoints: a private key in a file or variable, or a key that never leaves a key service."""

    @property
    def public(self) -> PublicKey:
        """The public key."""

    @property
    def key_id(self) -> str:
        """The public key's id."""

    def sign(self, data: bytes) -> bytes:
        """Return the Ed25519 signature over the data, 64 bytes."""


class SigningKey:
    """A private key in memory. Only ``pem`` reveals it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def generate(cls) -> SigningKey:
        """Generate a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """Parse a key that ``pem`` or ``openssl genpkey -algorithm ed25519`` wrote.

        Raises:
            InvalidKeyError: The text is not such a key, or the key is encrypted with a password.
        """
        try:
            key = load_pem_private_key(pem, password=None)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            raise InvalidKeyError("it is not a private key in PEM without a password") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidKeyError("it is a private key of a kind other than Ed25519")
        return cls(key)

    @property
    def key_id(self) -> str:
        """The public key's id."""
        return self.public.key_id

    def pem(self) -> bytes:
        """Return the key as unencrypted PEM."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, data: bytes) -> bytes:
        """Return the signature over the data."""
        return self._key.sign(data)
