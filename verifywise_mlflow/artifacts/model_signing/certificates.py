"""Certificates of signers, from strangers: what they say, and whether a tenant's authority vouches for them."""

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

from verifywise_mlflow.artifacts.model_signing.text import shown
from verifywise_mlflow.artifacts.model_signing.trust_store import PublicKey, UnknownKeyError, signing_key

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_PREFIXES = ("validation failed: ", "candidates exhausted: ", "Python extension validator failed: ValueError: ")
"""What the library says ahead of what is wrong."""

_SIGNING_CODE = frozenset({ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


class UnreadableCertificateError(ValueError):
    """A certificate cannot be read. The text says which."""


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """What is read of a signer's certificate."""

    public_key: PublicKey
    fingerprint: str
    """SHA-256 of the DER, lower-case hexadecimal."""
    subject: str
    issuer: str

    @staticmethod
    def of(certificate: x509.Certificate) -> SigningCertificate:
        """Read it.

        Raises:
            UnreadableCertificateError: It cannot be.
            UnknownKeyError: Its key is none that OMS knows.
        """
        with _readable("the signer's certificate"):
            key = _key_of(certificate)
            names = [shown(name.rfc4514_string()) for name in (certificate.subject, certificate.issuer)]
        return SigningCertificate(signing_key(key), certificate.fingerprint(hashes.SHA256()).hex(), *names)


def read_chain(certificates: Sequence[bytes]) -> list[x509.Certificate]:
    """Certificates from their DER.

    Raises:
        UnreadableCertificateError: One of them is none.
    """
    with _readable("a certificate in the bundle"):
        return [x509.load_der_x509_certificate(certificate) for certificate in certificates]


def why_untrusted(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    now: datetime,
) -> str | None:
    """Why no authority vouches at ``now`` (aware) for what ``leaf`` signs; null if one does.

    The time that counts is now, as the specification has it (8.2): a signature with a certificate carries no time
    that could be trusted, so what an expired key signs cannot be told from what it once signed.
    """
    if not authorities:
        return "no authority is trusted"
    try:
        with _readable("the chain of certificates"):
            if misuse := _misuse(leaf):
                return misuse
            if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
                valid = f"{leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}"
                return f"its certificate is valid from {valid} only"
            _check_chain(leaf, intermediates, authorities, now)
    except UnreadableCertificateError as error:
        return str(error)
    except VerificationError as error:
        told = str(error).partition(" (encountered")[0]  # then comes the certificate at fault, in the stranger's words
        for prefix in _PREFIXES:
            told = told.removeprefix(prefix)
        return f"its certificate leads to no authority that is trusted: {shown(told)}"
    return None


def _check_chain(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    authorities: Sequence[x509.Certificate],
    now: datetime,
) -> None:
    """Raise ``VerificationError`` where no chain of certificates that are valid at ``now`` leads to an authority.

    The library's own policy is that of the web, where signers of code would be refused and companies' authorities
    often are; ours asks of an authority what RFC 5280 does, and that it may vouch for signers of code.
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


def _misuse(leaf: x509.Certificate) -> str | None:
    """Why this certificate may not sign models: each usage that it states has to allow it, and it has to state one.

    The reference implementation is content with one of the two. But a company's authority gives digital signatures
    to every web server, and those servers sign no models.
    """
    usage, purposes = _extension(leaf, x509.KeyUsage), _extension(leaf, x509.ExtendedKeyUsage)
    if usage is None and purposes is None:
        return "its certificate does not say that it is for signing"
    if usage is not None and not usage.digital_signature:
        return "its certificate is not for digital signatures"
    if purposes is not None and not _SIGNING_CODE & set(purposes):
        return "its certificate is not for signing code"
    return None


def _key_of(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except UnsupportedAlgorithm as error:
        raise UnknownKeyError("a key of an unknown kind") from error


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _require_certificate_signing(_policy: Policy, _certificate: x509.Certificate, value: x509.KeyUsage | None) -> None:
    if value is not None and not value.key_cert_sign:
        raise ValueError("an issuer may not sign certificates")


def _require_code_signing(_policy: Policy, _certificate: x509.Certificate, value: x509.ExtendedKeyUsage | None) -> None:
    if value is not None and not _SIGNING_CODE & set(value):
        raise ValueError("an issuer may not vouch for signers of code")


@contextlib.contextmanager
def _readable(what: str) -> Iterator[None]:
    """Turn what the library says of malformed and unknown structures into one error."""
    try:
        yield
    except (UnreadableCertificateError, UnknownKeyError):
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
        raise UnreadableCertificateError(f"{what} cannot be read") from error
