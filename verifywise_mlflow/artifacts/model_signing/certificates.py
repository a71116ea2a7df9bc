"""Untrusted certificates of signers: parses them and checks their chain to a tenant's trusted authority."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from verifywise_mlflow.artifacts.model_signing.trust_store import PublicKey, UnsupportedKeyError, require_supported_key
from verifywise_mlflow.common.untrusted_text import excerpt

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_LIBRARY_ERROR_PREFIXES = (
    "validation failed: ",
    "candidates exhausted: ",
    "Python extension validator failed: ValueError: ",
)
"""Prefixes that are removed from the library's messages, so that the cause comes first."""

_CODE_SIGNING_PURPOSES = frozenset({ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


class InvalidCertificateError(ValueError):
    """A certificate cannot be parsed. The message states which certificate."""


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """The key and identity in a signer's certificate."""

    public_key: PublicKey
    fingerprint: str
    """SHA-256 of the DER, lowercase hexadecimal."""
    subject: str
    issuer: str

    @staticmethod
    def from_x509(certificate: x509.Certificate) -> SigningCertificate:
        """Extract the key, fingerprint and names.

        Raises:
            InvalidCertificateError: The certificate cannot be parsed.
            UnsupportedKeyError: OMS does not support its key.
        """
        with _certificate_errors("the signer's certificate"):
            key = _public_key(certificate)
            names = [excerpt(name.rfc4514_string()) for name in (certificate.subject, certificate.issuer)]
        return SigningCertificate(require_supported_key(key), certificate.fingerprint(hashes.SHA256()).hex(), *names)


def load_chain(certificates: Sequence[bytes]) -> list[x509.Certificate]:
    """Parse certificates from DER.

    Raises:
        InvalidCertificateError: One of the texts is not a certificate.
    """
    with _certificate_errors("a certificate in the bundle"):
        return [x509.load_der_x509_certificate(certificate) for certificate in certificates]


def distrust_reason(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    now: datetime,
) -> str | None:
    """Return why ``leaf`` is not trusted at ``now`` (aware), or ``None`` if it is trusted.

    The specification (8.2) checks certificates at the current time. A signature with a certificate carries no
    trustworthy time, so a signature that was made after the key expired looks like a signature made before.
    """
    if not authorities:
        return "the tenant trusts no authority"
    try:
        with _certificate_errors("the chain of certificates"):
            if misuse := _key_usage_violation(leaf):
                return misuse
            if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
                valid = f"{leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}"
                return f"its certificate is valid only from {valid}"
            _check_chain(leaf, intermediates, authorities, now)
    except InvalidCertificateError as error:
        return str(error)
    except VerificationError as error:
        message = str(error).partition(" (encountered")[0]  # drops the certificate, which is untrusted text
        for prefix in _LIBRARY_ERROR_PREFIXES:
            message = message.removeprefix(prefix)
        return f"its certificate does not chain to a trusted authority: {excerpt(message)}"
    return None


def _check_chain(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    now: datetime,
) -> None:
    """Raise ``VerificationError`` unless a chain of certificates that are valid at ``now`` leads to an authority.

    The library's default policy is the policy of the web PKI, which rejects code signers and many companies'
    authorities. Our policy requires that an authority follows RFC 5280, and that it may issue certificates for code
    signing.
    """
    everything = ExtensionPolicy.permit_all()
    authority = (
        everything.require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _require_certificate_signing)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _require_code_signing)
    )
    builder = PolicyBuilder().store(Store(list(authorities))).time(now)
    verifier = builder.extension_policies(ca_policy=authority, ee_policy=everything).build_client_verifier()
    verifier.verify(leaf, list(intermediates))


def _key_usage_violation(leaf: x509.Certificate) -> str | None:
    """Return why this certificate may not sign models, or ``None``.

    The certificate must state key usage, extended key usage, or both, and each stated usage must allow signing. The
    reference implementation requires only that one of the two allows signing. But a company's authority grants the
    usage digital-signature to every web server, and web servers must not sign models.
    """
    usage, purposes = _extension(leaf, x509.KeyUsage), _extension(leaf, x509.ExtendedKeyUsage)
    if usage is None and purposes is None:
        return "its certificate states no usage, so it is not meant for signing"
    if usage is not None and not usage.digital_signature:
        return "its certificate is not for digital signatures"
    if purposes is not None and not _CODE_SIGNING_PURPOSES & set(purposes):
        return "its certificate is not for signing code"
    return None


def _public_key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except UnsupportedAlgorithm as error:
        raise UnsupportedKeyError("a key of an unsupported kind") from error


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _require_certificate_signing(_policy: Policy, _certificate: x509.Certificate, value: x509.KeyUsage | None) -> None:
    if value is not None and not value.key_cert_sign:
        raise ValueError("an issuer may not sign certificates")


def _require_code_signing(_policy: Policy, _certificate: x509.Certificate, value: x509.ExtendedKeyUsage | None) -> None:
    if value is not None and not _CODE_SIGNING_PURPOSES & set(value):
        raise ValueError("an issuer may not issue certificates for code signing")


@contextlib.contextmanager
def _certificate_errors(label: str) -> Iterator[None]:
    """Convert the library's errors on malformed and unknown structures into one error."""
    try:
        yield
    except (InvalidCertificateError, UnsupportedKeyError):
        raise
    except (
        ValueError,
        TypeError,
        OverflowError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise InvalidCertificateError(f"{label} cannot be read") from error
