"""The files that a statement from a stranger vouches for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from verifywise_mlflow.artifacts.model_signing.spec import (
    DEFAULT_EXCLUSIONS,
    EARLY_PREDICATE_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    is_canonical,
    is_left_out,
    root_digest,
)
from verifywise_mlflow.artifacts.model_signing.strict_json import (
    JsonValue,
    RefusedJsonError,
    list_in,
    object_in,
    read_json,
    text_in,
)

MAX_FILES = 50_000
MAX_IGNORED = 1_000

_SHA256 = re.compile(r"[0-9a-f]{64}")


class BrokenStatementError(ValueError):
    """What was signed is no statement on a model, or contradicts itself."""


class OtherStatementError(ValueError):
    """What was signed is a statement that we do not read: on something else, or of an early release."""


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """What the signer saw, if the signature is good."""

    count: int
    """Entries in the statement."""
    root_digest: str
    """Lower-case hexadecimal, and the true one of the entries."""
    sha256: Mapping[str, str]
    """By path; empty where ``incomparable``."""
    ignored: frozenset[str]
    """Paths that the signer left out, with all below them."""
    incomparable: str | None = None
    """Why the entries cannot be compared with SHA-256 of whole files."""

    def leaves_out(self, path: str) -> bool:
        """Whether the signer chose not to sign ``path``."""
        return is_left_out(path, self.ignored)


def read_statement(payload: bytes) -> SignedFiles:
    """Read what was signed.

    Raises:
        BrokenStatementError: It is broken, contradicts itself, or names paths that no model can have.
        OtherStatementError: It may be sound, but is none that we read.
    """
    try:
        return _read(object_in(read_json(payload), "the statement"))
    except RefusedJsonError as error:
        raise BrokenStatementError(str(error)) from error


def _read(statement: dict[str, JsonValue]) -> SignedFiles:
    if statement.get("_type") != STATEMENT_TYPE:
        raise BrokenStatementError("the payload is no in-toto statement v1")
    predicate_type = text_in(statement.get("predicateType"), "the predicate's type")
    if predicate_type == EARLY_PREDICATE_TYPE:
        raise OtherStatementError("signatures of model-signing 0.2 are not read; it has to be signed again")
    if predicate_type != PREDICATE_TYPE:
        raise OtherStatementError("the statement is on something else than a model's files")
    predicate = object_in(statement.get("predicate"), "the predicate")
    serialization = object_in(predicate.get("serialization"), "the serialization")
    method = text_in(serialization.get("method"), "the serialization's method")
    hash_type = text_in(serialization.get("hash_type"), "the serialization's hash")
    if not isinstance(serialization.get("allow_symlinks"), bool):
        raise BrokenStatementError("it does not say whether symbolic links were followed")

    entries = list_in(predicate.get("resources"), "what the statement has for resources", at_most=MAX_FILES)
    digests: dict[str, str] = {}
    algorithms = {hash_type}
    for entry in entries:
        resource = object_in(entry, "a resource")
        name = text_in(resource.get("name"), "a resource's name")
        if name in digests:
            raise BrokenStatementError("a file is named twice")
        digests[name] = text_in(resource.get("digest"), "a resource's digest")
        algorithms.add(text_in(resource.get("algorithm"), "a resource's algorithm"))
    root = _root(statement.get("subject"), digests.values())

    incomparable = _incomparable(method, algorithms, list(digests))
    if incomparable is None:
        _check_files(digests)
    return SignedFiles(
        count=len(entries),
        root_digest=root,
        sha256=digests if incomparable is None else {},
        ignored=_ignored(serialization.get("ignore_paths")),
        incomparable=incomparable,
    )


def _root(subject: JsonValue, digests: Iterable[str]) -> str:
    (model,) = list_in(subject, "the subject", at_most=1)
    said = object_in(object_in(model, "the subject").get("digest"), "the subject's digest").get("sha256")
    try:
        true = root_digest(digests)
    except ValueError as error:
        raise BrokenStatementError("a digest is no hexadecimal") from error
    if said != true:
        raise BrokenStatementError("the root digest is not that of the files")
    return true


def _incomparable(method: str, algorithms: set[str], names: list[str]) -> str | None:
    if method == "shards":
        return "it signs parts of files, and the manifest has hashes of whole ones"
    if method != "files":
        return "it signs files in a way that we do not know"
    if algorithms != {"sha256"}:
        return "it signs hashes other than SHA-256, which the manifest does not have"
    if names == ["."]:  # what model-signing writes for a single file
        return "it signs a single file without naming it"
    return None


def _check_files(digests: Mapping[str, str]) -> None:
    for name, digest in digests.items():
        if not is_canonical(name):
            raise BrokenStatementError("a file's name is absolute, leads out of the model or is not normalized")
        if not _SHA256.fullmatch(digest):
            raise BrokenStatementError("a digest is no SHA-256 in lower case")


def _ignored(value: JsonValue) -> frozenset[str]:
    if value is None:  # before model-signing 1.1
        return DEFAULT_EXCLUSIONS
    ignored: set[str] = set()
    for entry in list_in(value, "what it ignores", at_least=0, at_most=MAX_IGNORED):
        # Normalized as the reference implementation does it, which reads `.git/` and `./a` as paths.
        path = str(PurePosixPath(text_in(entry, "an ignored path")))
        if not is_canonical(path):  # `.` would ignore whatever is added to the model
            raise BrokenStatementError("an ignored path is absolute, leads out of the model or is all of it")
        ignored.add(path)
    return DEFAULT_EXCLUSIONS | ignored
