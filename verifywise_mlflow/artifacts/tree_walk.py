"""Walks a tree of remote files breadth-first and within limits, and trusts no path that the server sends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.map_in_order import MapInOrder, one_by_one
from verifywise_mlflow.artifacts.problem_list import truncate_problems
from verifywise_mlflow.artifacts.source import ArtifactReadError, ArtifactSource
from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.connector.models import RemoteFile
from verifywise_mlflow.http.errors import LimitExceededError, ResponseTimeoutError


@dataclass(frozen=True, slots=True)
class RejectedEntry(RemoteFile):
    """An entry that a source lists but does not open, such as a link or a device."""

    reason: str = field(kw_only=True)


class ProblemKind(StrEnum):
    """Why a listing is incomplete. Code decides by this value, never by the text of a problem."""

    TOO_MANY = "too many"
    """There are more files or directories than the limit allows, so the listing stopped early."""
    OVER_LIMIT = "over limit"
    """Another limit left entries out: a folder is too deep, or its listing is too large."""
    FAILED = "failed"
    """A directory could not be listed, or an entry was refused."""


@dataclass(frozen=True, slots=True)
class FileListing:
    """The files below one directory, and the problems that make the listing incomplete."""

    files: tuple[RemoteFile, ...]
    """Sorted by path. Paths are relative to the source's root."""
    problems: tuple[str, ...]
    """Empty if the listing is complete."""
    is_root_listed: bool = True
    """False if the first directory could not be listed."""
    problem_kinds: frozenset[ProblemKind] = frozenset()

    @property
    def is_complete(self) -> bool:
        """Whether every file is in the listing."""
        return self.is_root_listed and not self.problems

    @property
    def is_empty(self) -> bool:
        """Whether the listing is complete and has no file. An unavailable store looks the same."""
        return self.is_complete and not self.files


@dataclass(slots=True)
class _Problems:
    """The problems of a listing so far, as clauses for people and by kind."""

    texts: list[str] = field(default_factory=list)
    kinds: set[ProblemKind] = field(default_factory=set)

    def add(self, kind: ProblemKind, text: str) -> None:
        self.kinds.add(kind)
        self.texts.append(text)

    def listing(self, files: dict[str, RemoteFile], *, is_root_listed: bool = True) -> FileListing:
        ordered = tuple(files[name] for name in sorted(files))
        return FileListing(ordered, truncate_problems(self.texts), is_root_listed, frozenset(self.kinds))


def walk(
    source: ArtifactSource,
    path: str,
    limits: ManifestLimits,
    excluded: Collection[str] = (),
    map_in_order: MapInOrder = one_by_one,
) -> FileListing:
    """List every file below ``path``; stop as soon as it is certain that there are more files than the limits allow.

    Args:
        source: The root that is listed.
        path: The directory to start in, relative to the source's root; ``""`` is the root itself.
        limits: Limits on files, directories and depth.
        excluded: Directories or files, relative to the root, that are skipped with everything below them.
        map_in_order: Lists the directories of one level.
    """

    def list_directory(directory: str) -> Sequence[RemoteFile] | ArtifactReadError:
        try:
            return source.list_directory(directory)
        except ArtifactReadError as error:
            return error

    files: dict[str, RemoteFile] = {}
    problems = _Problems()
    level = [path]
    visited = {(path, True)}  # in a bucket, a file and a folder may share a name
    directory_count = 1
    while level:
        next_level: list[str] = []
        list_all = map_in_order if len(level) > 1 else one_by_one
        for directory, entries in zip(level, list_all(list_directory, level), strict=True):
            if isinstance(entries, ArtifactReadError):
                kind = ProblemKind.OVER_LIMIT if _is_over_limit(entries) else ProblemKind.FAILED
                problems.add(kind, f"{_directory_label(directory)} could not be listed: {entries}")
                if directory == path:
                    return problems.listing({}, is_root_listed=False)
                continue
            for entry in sorted(entries, key=lambda entry: entry.path):
                if reason := rejection_reason(entry, directory):
                    problems.add(
                        ProblemKind.FAILED,
                        f"{_directory_label(directory)} lists {quote(entry.path, 200)}, refused: {reason}",
                    )
                elif (entry.path, entry.is_directory) in visited or _is_below_any(entry.path, excluded):
                    continue  # duplicates add nothing
                elif _depth(entry.path, path) > limits.max_depth:
                    problems.add(
                        ProblemKind.OVER_LIMIT,
                        f"{quote(entry.path, 200)} is skipped: deeper than {limits.max_depth} levels, the limit",
                    )
                elif entry.is_directory:
                    visited.add((entry.path, entry.is_directory))
                    next_level.append(entry.path)
                    directory_count += 1
                elif len(files) == limits.max_files:
                    problems.add(ProblemKind.TOO_MANY, f"the listing stops at {limits.max_files} files, the limit")
                    return problems.listing(files)
                else:
                    visited.add((entry.path, entry.is_directory))
                    files[entry.path] = entry
            if directory_count > limits.max_directories:
                # The listing cannot be completed, and each directory costs a request, so it stops here.
                problems.add(
                    ProblemKind.TOO_MANY,
                    f"the listing stops: there are more than {limits.max_directories} directories",
                )
                return problems.listing(files)
        level = next_level
    return problems.listing(files)


def rejection_reason(entry: RemoteFile, directory: str) -> str | None:
    """Return why an entry listed under ``directory`` is not trusted, or ``None`` if it is."""
    path = entry.path
    if isinstance(entry, RejectedEntry):
        return entry.reason
    if "\0" in path or not _is_unicode(path):
        return "the path is not valid text"
    if "\\" in path:
        return "the path contains a backslash"
    if path.startswith("/"):
        return "the path is absolute"
    if path == directory:
        return "the directory lists itself"
    if any(segment in ("", ".", "..") for segment in path.split("/")):
        return "the path is not normalized"
    if directory and not path.startswith(f"{directory}/"):
        return "the path is outside of the directory"
    if entry.size is not None and entry.size < 0:
        return "the size is negative"
    return None


def require_normalized(path: str) -> None:
    """Check a path that is about to be read.

    Raises:
        ArtifactReadError: ``walk`` would have refused the path, so no listing that we trust has shown it.
    """
    if rejection_reason(RemoteFile(path, False, None), ""):
        raise ArtifactReadError("the path is not normalized")


def _is_over_limit(error: ArtifactReadError) -> bool:
    """Return whether the response exceeded the tenant's limits, so that another attempt is useless."""
    return isinstance(error.__cause__, LimitExceededError) and not isinstance(error.__cause__, ResponseTimeoutError)


def _depth(path: str, root: str) -> int:
    return path.count("/") + 1 - (root.count("/") + 1 if root else 0)


def _is_below_any(path: str, excluded: Collection[str]) -> bool:
    return any(path == parent or path.startswith(f"{parent}/") for parent in excluded)


def _directory_label(directory: str) -> str:
    return quote(directory, 200) if directory else "the root"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which neither a URL nor Postgres can contain
        return False
    return True
