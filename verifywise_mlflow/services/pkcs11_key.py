"""A signing key that never leaves a PKCS#11 token: an HSM, or a cloud's key service through its PKCS#11 library.

A PKCS#11 URI (RFC 7512) names the key::

    pkcs11:token=audit;object=signing?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin

The token needs an Ed25519 key pair with this label and the mechanism CKM_EDDSA (PKCS#11 3.0).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from verifywise_mlflow.audit.keys import PublicKey
from verifywise_mlflow.tenants.errors import SecretUnavailableError
from verifywise_mlflow.tenants.secrets import SecretReference

try:
    import pkcs11
    from pkcs11.exceptions import PKCS11Error
except ImportError:  # the extra is not installed
    pkcs11 = None  # type: ignore[assignment]

_PATH_ATTRIBUTES: Final = ("token", "object")
_QUERY_ATTRIBUTES: Final = ("module-path", "pin-source")
_POINT_BYTES: Final = 32

_LOGIN = threading.Lock()
"""It serializes logins, since a PKCS#11 login applies to the whole process."""


@dataclass(frozen=True, slots=True)
class Pkcs11Location:
    """The location of a key, as its URI states it."""

    token: str
    """The label of the token."""
    object: str
    """The label of both keys of the pair."""
    module_path: str
    """The library of the token's vendor."""
    pin_source: SecretReference

    @classmethod
    def from_uri(cls, uri: str) -> Pkcs11Location:
        """Parse a PKCS#11 URI.

        Raises:
            SecretUnavailableError: the URI lacks an attribute or has an unknown attribute.
        """
        path, _, query = uri.removeprefix("pkcs11:").partition("?")
        found = {**_attributes(path, ";", _PATH_ATTRIBUTES), **_attributes(query, "&", _QUERY_ATTRIBUTES)}
        if missing := [name for name in (*_PATH_ATTRIBUTES, *_QUERY_ATTRIBUTES) if not found.get(name)]:
            raise SecretUnavailableError(f"the PKCS#11 URI has no {', '.join(missing)}")
        try:
            pin_source = SecretReference(found["pin-source"])
        except ValidationError:
            raise SecretUnavailableError(
                "pin-source of the PKCS#11 URI must be env:NAME or file:/absolute/path"
            ) from None
        return cls(found["token"], found["object"], found["module-path"], pin_source)


class Pkcs11Key:
    """A ``Signer`` whose private key stays in the token.

    Each signature uses a new session and login: syncs sign once each, maybe hours apart, and a token may be replaced or
    restarted in between.
    """

    def __init__(self, location: Pkcs11Location) -> None:
        self._location = location
        with self._session() as session:
            _find(session, location.object, pkcs11.ObjectClass.PRIVATE_KEY)
            key = _find(session, location.object, pkcs11.ObjectClass.PUBLIC_KEY)
            point = bytes(key[pkcs11.Attribute.EC_POINT])
        # PKCS#11 2.40 has the key as a DER OCTET STRING; some tokens have only its 32 bytes. An Ed448 key has 57 bytes.
        if point[:-_POINT_BYTES] not in (b"", b"\x04\x20"):
            raise SecretUnavailableError(
                f"the key {location.object!r} in the token {location.token!r} is of a kind other than Ed25519"
            )
        self.public = PublicKey(Ed25519PublicKey.from_public_bytes(point[-_POINT_BYTES:]))

    @classmethod
    def from_uri(cls, uri: str) -> Pkcs11Key:
        """Return the key that a PKCS#11 URI names.

        Raises:
            SecretUnavailableError: the URI is malformed, the PIN cannot be read, or the token does not have this key.
        """
        if pkcs11 is None:
            raise SecretUnavailableError(
                "a PKCS#11 URI needs the extra pkcs11: pip install 'verifywise-mlflow[pkcs11]'"
            )
        return cls(Pkcs11Location.from_uri(uri))

    @property
    def key_id(self) -> str:
        """The public key's id."""
        return self.public.key_id

    def sign(self, data: bytes) -> bytes:
        """Return the signature over the data, made in the token.

        Raises:
            SecretUnavailableError: the token cannot be used any more, or returned something other than an Ed25519
                signature.
        """
        with self._session() as session:
            key = _find(session, self._location.object, pkcs11.ObjectClass.PRIVATE_KEY)
            if not isinstance(key, pkcs11.SignMixin):
                raise SecretUnavailableError(f"the key {self._location.object!r} cannot sign")
            signature = bytes(key.sign(data, mechanism=pkcs11.Mechanism.EDDSA))
        if not self.public.has_signed(signature, data):
            raise SecretUnavailableError(
                f"the token {self._location.token!r} made a signature that its public key rejects"
            )
        return signature

    @contextmanager
    def _session(self) -> Iterator[pkcs11.Session]:
        location, pin = self._location, self._location.pin_source.resolve()
        try:
            with _LOGIN:
                token = pkcs11.lib(location.module_path).get_token(token_label=location.token)
                with token.open(user_pin=pin) as session:
                    yield session
        except PKCS11Error as error:
            problem = str(error) or type(error).__name__
            raise SecretUnavailableError(
                f"the key {location.object!r} in the token {location.token!r} cannot be used: {problem}"
            ) from None


def _find(session: pkcs11.Session, label: str, kind: pkcs11.ObjectClass) -> pkcs11.Key:
    return session.get_key(object_class=kind, key_type=pkcs11.KeyType.EC_EDWARDS, label=label)


def _attributes(text: str, separator: str, allowed: tuple[str, ...]) -> Mapping[str, str]:
    pairs = [pair.partition("=") for pair in text.split(separator) if pair]
    if unknown := [name for name, _, _ in pairs if name not in allowed]:
        # The message quotes only the name of the attribute, since the value of pin-value is a secret.
        raise SecretUnavailableError(
            f"the PKCS#11 URI has {unknown[0]!r}; it may have {', '.join(allowed)} in this part"
        )
    return {name: unquote(value) for name, _, value in pairs}
