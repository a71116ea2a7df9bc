"""What the signature beside a model is worth: by whom it is, and whether it is on the files that lie there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from verifywise_mlflow.artifacts.manifest import SignatureStatus
from verifywise_mlflow.artifacts.model_signing.bundle import BrokenBundleError, NoModelSignatureError, read_bundle
from verifywise_mlflow.artifacts.model_signing.signature_check import (
    BadSignatureError,
    Judgement,
    Signer,
    UncheckedSignatureError,
    judge,
)
from verifywise_mlflow.artifacts.model_signing.statement_reader import (
    BrokenStatementError,
    OtherStatementError,
    SignedFiles,
    read_statement,
)
from verifywise_mlflow.artifacts.model_signing.text import shown
from verifywise_mlflow.artifacts.model_signing.trust_store import TrustedKeys

MAX_PATHS = 100
"""As many are kept; the count tells how many there are."""

DifferenceKind = Literal["changed", "missing", "unsigned"]
_SAID: Mapping[DifferenceKind, str] = {
    "changed": "has other bytes than were signed",
    "missing": "was signed and is not there",
    "unsigned": "is there and was not signed",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that is not as it was signed."""

    kind: DifferenceKind
    path: str


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """The result of one verification."""

    status: SignatureStatus
    reason: str | None = None
    """A clause for people; null where ``valid``."""
    signer: Signer | None = None
    """Null where the signature could not be shown to be anybody's."""
    signed_count: int | None = None
    """Files in the statement; null where it could not be read, or its signature is bad."""
    root_digest: str | None = None
    """SHA-256 in hexadecimal that stands for all signed files; null as ``signed_count``."""
    differences: tuple[Difference, ...] = ()
    """By path, at most ``MAX_PATHS``; of a trusted signer's statement only."""
    difference_count: int = 0
    left_out: tuple[str, ...] = ()
    """Files of the model that the signature says nothing of, since the signer ignored them; at most ``MAX_PATHS``."""
    left_out_count: int = 0


def verify(
    bundle: bytes,
    files: Mapping[str, str | None],
    trusted: TrustedKeys,
    now: datetime,
    *,
    signature_path: str | None = None,
) -> SignatureCheck:
    """Verify an OMS bundle. Whatever the bundle holds, the result says so: nothing is raised.

    Args:
        bundle: The file beside the model, as it was read.
        files: All files of the model, by path within it, with their SHA-256 in lower-case hexadecimal; null for one
            that was not hashed. It has to be all: a model of which a part was not listed cannot be verified.
        trusted: What the tenant trusts.
        now: Aware; certificates are judged at this time.
        signature_path: Where the bundle itself lies, if in ``files``: it need not be signed.
    """
    try:
        read = read_bundle(bundle)
        signed = read_statement(read.payload)
        judgement = judge(read, trusted, now)
    except (BrokenBundleError, BrokenStatementError, BadSignatureError) as error:
        return SignatureCheck("invalid", str(error))
    except (NoModelSignatureError, OtherStatementError, UncheckedSignatureError) as error:
        return SignatureCheck("not verified", str(error))
    return _compared(signed, judgement, files, signature_path)


def _compared(
    signed: SignedFiles, judgement: Judgement, files: Mapping[str, str | None], signature_path: str | None
) -> SignatureCheck:
    if judgement.signer is None:
        return SignatureCheck("untrusted", judgement.distrust)
    proven = SignatureCheck("valid", None, judgement.signer, signed.count, signed.root_digest)
    if judgement.distrust is not None:
        return replace(proven, status="untrusted", reason=judgement.distrust)
    if signed.incomparable is not None:
        return replace(proven, status="not verified", reason=signed.incomparable)

    unsigned = sorted(files.keys() - signed.sha256.keys() - {signature_path})
    left_out = [path for path in unsigned if signed.leaves_out(path)]
    proven = replace(proven, left_out=tuple(left_out[:MAX_PATHS]), left_out_count=len(left_out))
    if differences := sorted(_differences(signed, files, unsigned), key=lambda difference: difference.path):
        first = differences[0]
        more = f", and {len(differences) - 1} more differ" if len(differences) > 1 else ""
        return replace(
            proven,
            status="mismatch",
            reason=f"{shown(first.path)!r} {_SAID[first.kind]}{more}",
            differences=tuple(differences[:MAX_PATHS]),
            difference_count=len(differences),
        )
    if unhashed := sorted(path for path in signed.sha256 if files[path] is None):
        more = f" and {len(unhashed) - 1} more were" if len(unhashed) > 1 else " was"
        return replace(proven, status="not verified", reason=f"{shown(unhashed[0])!r}{more} not hashed")
    return proven


def _differences(signed: SignedFiles, files: Mapping[str, str | None], unsigned: list[str]) -> Iterator[Difference]:
    for path, sha256 in signed.sha256.items():
        if path not in files:
            yield Difference("missing", path)
        elif files[path] not in (sha256, None):
            yield Difference("changed", path)
    for path in unsigned:
        if not signed.leaves_out(path):
            yield Difference("unsigned", path)
