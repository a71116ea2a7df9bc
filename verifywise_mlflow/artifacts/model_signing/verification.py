"""Verifies a model signature: checks the signer, and compares the model's files with the signed files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from verifywise_mlflow.artifacts.manifest import ModelSignature, SignatureStatus
from verifywise_mlflow.artifacts.model_signing.bundle import (
    Bundle,
    InvalidBundleError,
    NotABundleError,
    parse_bundle,
)
from verifywise_mlflow.artifacts.model_signing.signature_check import (
    BadSignatureError,
    Signer,
    SignerVerdict,
    UnsupportedSignatureError,
    check_signature,
)
from verifywise_mlflow.artifacts.model_signing.spec import MAX_PATH_BYTES
from verifywise_mlflow.artifacts.model_signing.statement_reader import (
    InvalidStatementError,
    SignedFiles,
    UnsupportedStatementError,
    parse_statement,
)
from verifywise_mlflow.artifacts.model_signing.trust_store import TrustStore
from verifywise_mlflow.common.untrusted_text import quote

MAX_REPORTED_PATHS = 100
"""The maximum number of paths that a result lists. The counts of a result are exact."""

DifferenceKind = Literal["changed", "missing", "unsigned"]
_DIFFERENCE_TEXT: Mapping[DifferenceKind, str] = {
    "changed": "has other bytes than were signed",
    "missing": "was signed but is missing",
    "unsigned": "is present but was not signed",
}


@dataclass(frozen=True, slots=True)
class FileDifference:
    """One file that differs from the signed file."""

    kind: DifferenceKind
    path: str


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """The result of one verification."""

    status: SignatureStatus
    reason: str | None = None
    """A clause for people; null if ``valid``."""
    signer: Signer | None = None
    """The signer; None if it could not be established."""
    signed_count: int | None = None
    """Files in the statement; null if it could not be read or its signature is bad."""
    root_digest: str | None = None
    """SHA-256 in hexadecimal over all signed files; null like ``signed_count``."""
    differences: tuple[FileDifference, ...] = ()
    """Sorted by path; at most ``MAX_REPORTED_PATHS``; empty unless a trusted signer signed the statement."""
    difference_count: int = 0
    left_out: tuple[str, ...] = ()
    """Files of the model that the signer ignored, so that they are not signed; at most ``MAX_REPORTED_PATHS``."""
    left_out_count: int = 0


def verify_signature(
    bundle: bytes,
    files: Mapping[str, str | None],
    trusted: TrustStore,
    now: datetime,
    *,
    signature_path: str | None = None,
) -> SignatureCheck:
    """Verify an OMS bundle. A malformed bundle never raises an error.

    Args:
        bundle: The bytes of the signature file.
        files: Every file of the model, by path within it, with its SHA-256 in lowercase hexadecimal, or null if it was
            not hashed. A model that was not listed completely cannot be verified.
        trusted: The tenant's trust store.
        now: Aware. Certificates are checked at this time.
        signature_path: Path of the bundle itself, if it is in ``files``: it need not be signed.
    """
    try:
        parsed = parse_bundle(bundle)
        signed = parse_statement(parsed.payload)
        verdict = check_signature(parsed, trusted, now)
    except (InvalidBundleError, InvalidStatementError, BadSignatureError) as error:
        return SignatureCheck("invalid", str(error))
    except (NotABundleError, UnsupportedStatementError, UnsupportedSignatureError) as error:
        return SignatureCheck("not verified", str(error))
    return _compare_files(signed, verdict, files, signature_path)


def confirm_signature(
    bundle: Bundle,
    files: Mapping[str, str | None],
    trusted: TrustStore,
    now: datetime,
    *,
    signature_path: str | None = None,
) -> SignatureCheck:
    """Verify the parts of a bundle that a sandboxed process has parsed and found valid. Never raises.

    The process that stores the result calls this function with its own trust store. The payload is only hashed, not
    parsed, until a trusted key has confirmed the signature.
    """
    try:
        verdict = check_signature(bundle, trusted, now)
        if verdict.signer is None or verdict.distrust_reason is not None:
            return SignatureCheck("untrusted", verdict.distrust_reason)
        signed = parse_statement(bundle.payload)
    except (BadSignatureError, UnsupportedSignatureError, InvalidStatementError, UnsupportedStatementError) as error:
        return SignatureCheck("invalid", str(error))
    return _compare_files(signed, verdict, files, signature_path)


def to_model_signature(path: str, check: SignatureCheck) -> ModelSignature:
    """Return a check as the manifest stores it."""
    return ModelSignature(
        path=path,
        status=check.status,
        reason=check.reason,
        signer=_signer_text(check),
        signed_count=check.signed_count,
        differences=tuple(
            f"{difference.path[:MAX_PATH_BYTES]} ({difference.kind})"  # a server may list a longer path
            for difference in check.differences
        ),
        difference_count=check.difference_count,
        left_out_count=check.left_out_count,
    )


def _signer_text(check: SignatureCheck) -> str | None:
    if check.signer is None:
        return None
    subject = f" {check.signer.subject}" if check.signer.subject else ""
    return f"{check.signer.method} sha256:{check.signer.fingerprint}{subject}"


def _compare_files(
    signed: SignedFiles, verdict: SignerVerdict, files: Mapping[str, str | None], signature_path: str | None
) -> SignatureCheck:
    if verdict.signer is None:
        return SignatureCheck("untrusted", verdict.distrust_reason)
    checked = SignatureCheck("valid", None, verdict.signer, signed.count, signed.root_digest)
    if verdict.distrust_reason is not None:
        return replace(checked, status="untrusted", reason=verdict.distrust_reason)
    if signed.incomparable_reason is not None:
        return replace(checked, status="not verified", reason=signed.incomparable_reason)

    unsigned = sorted(files.keys() - signed.sha256.keys() - {signature_path})
    left_out = [path for path in unsigned if signed.ignores(path)]
    checked = replace(checked, left_out=tuple(left_out[:MAX_REPORTED_PATHS]), left_out_count=len(left_out))
    if differences := sorted(_differences(signed, files, unsigned), key=lambda difference: difference.path):
        first = differences[0]
        more = f", and {len(differences) - 1} more differ" if len(differences) > 1 else ""
        return replace(
            checked,
            status="mismatch",
            reason=f"{quote(first.path, 200)} {_DIFFERENCE_TEXT[first.kind]}{more}",
            differences=tuple(differences[:MAX_REPORTED_PATHS]),
            difference_count=len(differences),
        )
    if unhashed := sorted(path for path in signed.sha256 if files[path] is None):
        more = f" and {len(unhashed) - 1} more were" if len(unhashed) > 1 else " was"
        return replace(checked, status="not verified", reason=f"{quote(unhashed[0], 200)}{more} not hashed")
    return checked


def _differences(signed: SignedFiles, files: Mapping[str, str | None], unsigned: list[str]) -> Iterator[FileDifference]:
    for path, sha256 in signed.sha256.items():
        if path not in files:
            yield FileDifference("missing", path)
        elif files[path] not in (sha256, None):
            yield FileDifference("changed", path)
    for path in unsigned:
        if not signed.ignores(path):
            yield FileDifference("unsigned", path)
