"""Parses an untrusted statement into the files that it covers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from verifywise_mlflow.artifacts.model_signing.spec import (
    DEFAULT_IGNORED_PATHS,
    EARLY_PREDICATE_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    is_canonical_path,
    is_ignored,
    root_digest,
)
from verifywise_mlflow.artifacts.model_signing.strict_json import (
    InvalidJsonError,
    JsonValue,
    parse_json,
    require_list,
    require_object,
    require_text,
)

MAX_SIGNED_FILES = 50_000
MAX_IGNORED_PATHS = 1_000

_SHA256 = re.compile(r"[0-9a-f]{64}")


class InvalidStatementError(ValueError):
    """The payload is not a statement on a model, or contradicts itself."""


class UnsupportedStatementError(ValueError):
    """The payload is a statement of an unsupported type or of an early release."""


@dataclass(frozen=True, slots=True)
class SignedFiles:
    """The files that the signer saw, if the signature is good."""

    count: int
    """Entries in the statement."""
    root_digest: str
    """Lowercase hexadecimal, recomputed from the entries."""
    sha256: Mapping[str, str]
    """Path to SHA-256; empty if there is an ``incomparable_reason``."""
    ignored_paths: frozenset[str]
    """Paths that the signer ignored, each with everything below it."""
    incomparable_reason: str | None = None
    """Why the entries cannot be compared with SHA-256 hashes of whole files; null if they can be compared."""

    def ignores(self, path: str) -> bool:
        """Whether the signer ignored ``path``."""
        return is_ignored(path, self.ignored_paths)


def parse_statement(payload: bytes) -> SignedFiles:
    """Parse the signed payload.

    Raises:
        InvalidStatementError: It is malformed, contradicts itself, or contains invalid paths.
        UnsupportedStatementError: It may be valid, but is of a type that is not supported.
    """
    try:
        return _parse_statement(require_object(parse_json(payload), "the statement"))
    except InvalidJsonError as error:
        raise InvalidStatementError(str(error)) from error


def _parse_statement(statement: dict[str, JsonValue]) -> SignedFiles:
    if statement.get("_type") != STATEMENT_TYPE:
        raise InvalidStatementError("the payload is not an in-toto statement v1")
    predicate_type = require_text(statement.get("predicateType"), "the predicate's type")
    if predicate_type == EARLY_PREDICATE_TYPE:
        raise UnsupportedStatementError("signatures of model-signing 0.2 are not supported: sign the model again")
    if predicate_type != PREDICATE_TYPE:
        raise UnsupportedStatementError("the statement is not about a model's files")
    predicate = require_object(statement.get("predicate"), "the predicate")
    serialization = require_object(predicate.get("serialization"), "the serialization")
    method = require_text(serialization.get("method"), "the serialization's method")
    hash_type = require_text(serialization.get("hash_type"), "the serialization's hash")
    if not isinstance(serialization.get("allow_symlinks"), bool):
        raise InvalidStatementError("it does not state whether symbolic links were followed")

    entries = require_list(predicate.get("resources"), "the statement's list of resources", at_most=MAX_SIGNED_FILES)
    digests: dict[str, str] = {}
    algorithms = {hash_type}
    for entry in entries:
        resource = require_object(entry, "a resource")
        name = require_text(resource.get("name"), "a resource's name")
        if name in digests:
            raise InvalidStatementError("a file is listed twice")
        digests[name] = require_text(resource.get("digest"), "a resource's digest")
        algorithms.add(require_text(resource.get("algorithm"), "a resource's algorithm"))
    root = _checked_root_digest(statement.get("subject"), digests.values())

    incomparable = _incomparable_reason(method, algorithms, list(digests))
    if incomparable is None:
        _check_files(digests)
    return SignedFiles(
        count=len(entries),
        root_digest=root,
        sha256=digests if incomparable is None else {},
        ignored_paths=_parse_ignored_paths(serialization.get("ignore_paths")),
        incomparable_reason=incomparable,
    )


def _checked_root_digest(subject: JsonValue, digests: Iterable[str]) -> str:
    (model,) = require_list(subject, "the subject", at_most=1)
    stated = require_object(require_object(model, "the subject").get("digest"), "the subject's digest").get("sha256")
    try:
        actual = root_digest(digests)
    except ValueError as error:
        raise InvalidStatementError("a digest is not hexadecimal") from error
    if stated != actual:
        raise InvalidStatementError("the root digest is not that of the files")
    return actual


def _incomparable_reason(method: str, algorithms: set[str], names: list[str]) -> str | None:
    if method == "shards":
        return "it signs parts of files, but the manifest has hashes of whole files"
    if method != "files":
        return "it signs files with an unsupported method"
    if algorithms != {"sha256"}:
        return "it signs hashes other than SHA-256, which the manifest does not have"
    if names == ["."]:  # the name that model-signing writes for a single file
        return "it signs a single file without naming it"
    return None


def _check_files(digests: Mapping[str, str]) -> None:
    for name, digest in digests.items():
        if not is_canonical_path(name):
            raise InvalidStatementError("a file's path is absolute, leads out of the model or is not normalized")
        if not _SHA256.fullmatch(digest):
            raise InvalidStatementError("a digest is not a lowercase SHA-256")


def _parse_ignored_paths(value: JsonValue) -> frozenset[str]:
    if value is None:  # before model-signing 1.1
        return DEFAULT_IGNORED_PATHS
    ignored: set[str] = set()
    for entry in require_list(value, "the list of ignored paths", at_least=0, at_most=MAX_IGNORED_PATHS):
        # Normalized as in the reference implementation, which accepts `.git/` and `./a`.
        path = str(PurePosixPath(require_text(entry, "an ignored path")))
        if not is_canonical_path(path):  # `.` would ignore every file that is added to the model
            raise InvalidStatementError("an ignored path is absolute, leads out of the model or is the whole model")
        ignored.add(path)
    return DEFAULT_IGNORED_PATHS | ignored
