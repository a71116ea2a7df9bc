"""The key that signs checkpoints, and the one that they are verified with: Ed25519, in PEM."""

from __future__ import annotations

import hashlib

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


class UnusableKeyError(ValueError):
    """A text that is no such key. The message never quotes it."""


class PublicKey:
    """A key that tells who signed."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = f"sha256:{hashlib.sha256(spki).hexdigest()}"
        """SHA-256 of the key as DER SubjectPublicKeyInfo: ``openssl pkey -pubin -outform DER | sha256sum``."""

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """Read a key that ``pem`` wrote, or ``openssl pkey -pubout``.

        Raises:
            UnusableKeyError: it is something else.
        """
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            raise UnusableKeyError("it is not a public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise UnusableKeyError("it is a public key of another kind than Ed25519")
        return cls(key)

    def pem(self) -> str:
        """Return it as PEM."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    def has_signed(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature is this key's over the data."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """A private key. It shows itself nowhere but in ``pem``."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @classmethod
    def new(cls) -> SigningKey:
        """Make a key that never was."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> SigningKey:
        """Read a key that ``pem`` wrote, or ``openssl genpkey -algorithm ed25519``.

        Raises:
            UnusableKeyError: it is something else, or locked by a password.
        """
        try:
            key = load_pem_private_key(pem, password=None)
        except (TypeError, ValueError, UnsupportedAlgorithm):
            raise UnusableKeyError("it is not a private key in PEM without a password") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise UnusableKeyError("it is a private key of another kind than Ed25519")
        return cls(key)

    @property
    def key_id(self) -> str:
        """The public key's id."""
        return self.public.key_id

    def pem(self) -> bytes:
        """Return it as PEM, readable by whoever holds it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, data: bytes) -> bytes:
        """Return the signature over the data."""
        return self._key.sign(data)
