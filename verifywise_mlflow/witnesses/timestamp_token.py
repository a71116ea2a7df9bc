"""Time-stamp tokens (RFC 3161): requests for tokens, and verification with the authority's root certificates.

A token states that somebody had these bytes at a given time. The authority that signs it is neither the database's
owner nor the holder of our key. ``openssl ts -verify`` verifies it, too. The library belongs to the extra
``timestamps``, so this module is imported on demand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import (
    Certificate,
    DuplicateExtension,
    InvalidVersion,
    UnsupportedGeneralNameType,
    load_pem_x509_certificates,
)
from rfc3161_client import (
    HashAlgorithm,
    TimeStampRequest,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from verifywise_mlflow.witnesses.der import sequence, with_sorted_certificates

_GRANTED: Final = b"\x30\x03\x02\x01\x00"
"""The status of a response with a token, in DER."""
_BAD_CERTIFICATE: Final = (DuplicateExtension, InvalidVersion, UnsupportedAlgorithm, UnsupportedGeneralNameType)
"""The errors that cryptography raises for bad certificates, in addition to ``ValueError``."""


class InvalidTokenError(ValueError):
    """A token proves nothing about the bytes. The message says why."""


class UnusableRootsError(ValueError):
    """The file of root certificates cannot be used."""


@dataclass(frozen=True, slots=True)
class TimestampRequest:
    """A request for a token over some bytes."""

    stamped: bytes
    request: TimeStampRequest

    @classmethod
    def over(cls, stamped: bytes) -> TimestampRequest:
        """Return a request for a token over the SHA-256 of some bytes, with a nonce."""
        return cls(stamped, TimestampRequestBuilder().data(stamped).hash_algorithm(HashAlgorithm.SHA256).build())

    def to_der(self) -> bytes:
        """Return the request as it is sent."""
        return self.request.as_bytes()

    def token_in(self, response: bytes, roots: Sequence[Certificate]) -> tuple[bytes, datetime]:
        """Return the token of a response, and its time.

        Raises:
            InvalidTokenError: The response has no token, or a token for another request.
        """
        parsed = _parse(response)
        if parsed.status != 0:
            reasons = "; ".join(parsed.status_string)[:200]
            raise InvalidTokenError(f"the authority granted no token (status {parsed.status}): {reasons!a}")
        return parsed.time_stamp_token(), _verify(parsed, self.stamped, roots, self.request.nonce)


def verify_token(token: bytes, stamped: bytes, roots: Sequence[Certificate]) -> datetime:
    """Return the time at which the bytes existed, according to the authority.

    Args:
        token: The token in DER.
        stamped: The bytes.
        roots: The root certificates of trusted authorities. The token contains the other certificates of the chain.

    Raises:
        InvalidTokenError: The token is about other bytes, or no trusted authority signed it.
    """
    return _verify(_parse(sequence(_GRANTED + token)), stamped, roots, nonce=None)


def load_roots(path: Path) -> list[Certificate]:
    """Load the root certificates of trusted authorities from a file in PEM.

    Raises:
        UnusableRootsError: The file contains no certificate.
    """
    try:
        return load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise UnusableRootsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise UnusableRootsError(
            f"{path} has no certificate in PEM: write the root certificate of the time-stamp authority into it"
        ) from None


def _verify(response: TimeStampResponse, stamped: bytes, roots: Sequence[Certificate], nonce: int | None) -> datetime:
    try:
        VerifierBuilder(roots=[*roots], nonce=nonce).build().verify_message(response, stamped)
    except (VerificationError, ValueError, *_BAD_CERTIFICATE) as error:
        raise InvalidTokenError(f"the time-stamp token is not valid: {error}") from None
    return response.tst_info.gen_time


def _parse(response: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(with_sorted_certificates(response))
    except ValueError:
        raise InvalidTokenError("it is not a time-stamp token") from None
