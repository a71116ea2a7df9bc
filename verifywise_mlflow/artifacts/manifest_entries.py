"""Reads the listed files of a version within its limits, and creates the manifest's entries."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from verifywise_mlflow.artifacts.caching_source import CachingSource
from verifywise_mlflow.artifacts.environment.reproducibility import ENVIRONMENT_FILES, MAX_FILE_BYTES
from verifywise_mlflow.artifacts.file_classifier import FilePattern, classify_file
from verifywise_mlflow.artifacts.hashing import FileHash, NotHashed, over_limit, size_mismatch
from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.manifest import ArtifactFile, ReadOutcome, Root, RuntimeEnvironment
from verifywise_mlflow.artifacts.map_in_order import MapInOrder, one_by_one
from verifywise_mlflow.artifacts.sandbox.pool import AnySandbox
from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.tree_walk import FileListing, ProblemKind
from verifywise_mlflow.connector.models import RemoteFile

HASHING_OFF_NOTE = "not hashed: hashing is switched off"


@dataclass(frozen=True, slots=True)
class ListedRoot:
    """One root of a version's files, and its listing."""

    root: Root
    source: CachingSource
    base_path: str
    """The folder that paths in the manifest are relative to."""
    listing: FileListing

    def relative_path(self, path: str) -> str:
        """Return a path of the source as the manifest names it."""
        return path.removeprefix(f"{self.base_path}/") if self.base_path else path


@dataclass(slots=True)
class EntryBuilder:
    """Turns listed files into manifest entries and counts their bytes."""

    limits: ManifestLimits
    hash_files: bool
    sandbox: AnySandbox
    patterns: Sequence[FilePattern]
    map_in_order: MapInOrder
    bytes_counted: int = 0
    """The bytes of the files that were read so far: as listed, or as read if the listing has no size."""
    started_at: float = field(default_factory=time.monotonic)
    unread: list[tuple[str, ReadOutcome]] = field(default_factory=list)
    """A clause for each file that was not read or not parsed, and its outcome."""
    environment_contents: dict[str, bytes] = field(default_factory=dict)
    environment_errors: dict[str, str] = field(default_factory=dict)
    """Environment files that could not be read, each with the reason."""
    unparsed_files: Mapping[str, str] = field(default_factory=dict)
    """Environment files that crashed the parsing process, each with the reason."""

    def parse_environment(self) -> RuntimeEnvironment:
        """Parse the environment files that were read."""
        parsed = self.sandbox.parse_environment(self.environment_contents, self.environment_errors)
        self.unparsed_files = parsed.failed_files
        return parsed.environment

    def read_listed(self, roots: Sequence[ListedRoot]) -> list[tuple[ListedRoot, RemoteFile, FileHash | NotHashed]]:
        """Hash the listed files, in the order of the listing, and keep the content of the environment files."""
        listed = [(root, file) for root in roots for file in root.listing.files]
        hashed: list[tuple[ListedRoot, RemoteFile, FileHash | NotHashed]] = []
        # Only reading a file of unknown size shows how much of the limit the file uses.
        for has_size, group in groupby(listed, key=lambda item: item[1].size is not None):
            files = list(group)
            read_all = self.map_in_order if has_size else one_by_one
            for (root, file), (result, content) in zip(files, read_all(_ReadTask.run, self._tasks(files)), strict=True):
                if not has_size and isinstance(result, FileHash):
                    self.bytes_counted += result.size
                if isinstance(content, str):
                    self.environment_errors[root.relative_path(file.path)] = content
                elif content is not None:
                    self.environment_contents[root.relative_path(file.path)] = content
                hashed.append((root, file, result))
        return hashed

    def entry(self, root: ListedRoot, file: RemoteFile, result: FileHash | NotHashed) -> ArtifactFile:
        """Return the manifest's entry of a file, after the environment was parsed."""
        path = root.relative_path(file.path)
        kind = classify_file(path, root.root, self.patterns)
        if isinstance(result, NotHashed):
            if result.outcome is not ReadOutcome.HASHING_OFF:
                self.unread.append((f"{root.root}: {path} {result.reason}", result.outcome))
            return ArtifactFile(root.root, path, file.size, None, kind, result.reason, result.outcome)
        note, outcome = None, ReadOutcome.HASHED
        if root.root == "model" and path in self.unparsed_files:
            note, outcome = f"not parsed: {self.unparsed_files[path]}", ReadOutcome.NOT_PARSED
            self.unread.append((f"{root.root}: {path} {note}", outcome))
        return ArtifactFile(root.root, path, result.size, result.sha256, kind, note, outcome, file.store_state)

    @property
    def has_failure(self) -> bool:
        """Whether a file was not read or not parsed, and a limit of the tenant is not the reason."""
        return any(outcome is not ReadOutcome.OVER_LIMIT for _, outcome in self.unread)

    def summarize_unread(self) -> list[str]:
        """Return one clause on the files that were listed but not read. Each file's note has the details."""
        if not self.unread:
            return []
        more = f" and {len(self.unread) - 1} more" if len(self.unread) > 1 else ""
        return [f"{self.unread[0][0]}{more}"]

    def _tasks(self, files: Iterable[tuple[ListedRoot, RemoteFile]]) -> Iterator[_ReadTask]:
        for root, file in files:
            is_environment = root.root == "model" and root.relative_path(file.path) in ENVIRONMENT_FILES
            task = _ReadTask(root.source, file, self._limit(root, file), is_environment)
            if not isinstance(task.limit, NotHashed) or (is_environment and (file.size or 0) <= MAX_FILE_BYTES):
                self.bytes_counted += file.size or 0
            yield task

    def _limit(self, root: ListedRoot, file: RemoteFile) -> int | NotHashed:
        """Return how many bytes of a file may be read, or the file's result if it is certain without reading."""
        if not self.hash_files:
            return NotHashed(HASHING_OFF_NOTE, ReadOutcome.HASHING_OFF)
        if ProblemKind.TOO_MANY in root.listing.problem_kinds:
            # The manifest cannot become complete, and thousands of reads would delay the other versions.
            reason = "not hashed: the listing that contains it stopped at a limit"
            return NotHashed(reason, ReadOutcome.OVER_LIMIT)
        if time.monotonic() - self.started_at > self.limits.timeout_s:
            reason = f"not hashed: over the limit of {self.limits.timeout_s:g} seconds for one version"
            return NotHashed(reason, ReadOutcome.OVER_LIMIT)
        bytes_left = max(0, self.limits.max_total_bytes - self.bytes_counted)
        if (file.size or 0) > self.limits.max_file_bytes:
            return over_limit(self.limits.max_file_bytes)
        if (file.size or 0) > bytes_left:
            return over_limit(self.limits.max_total_bytes, " for one version")
        return min(self.limits.max_file_bytes, bytes_left)


@dataclass(frozen=True, slots=True)
class _ReadTask:
    """A file to hash, with the number of bytes that may be read, or with its result."""

    source: CachingSource
    file: RemoteFile
    limit: int | NotHashed
    is_environment: bool
    """Whether the file's content is parsed. Such a file is small, so it is read even if no other file is read."""

    def run(self) -> tuple[FileHash | NotHashed, bytes | str | None]:
        """Return the file's hash. For an environment file, also return its content, or why it cannot be read."""
        content = self._read_whole() if self.is_environment else None
        if isinstance(content, bytes):
            return self.source.file_hash(self.file.path, MAX_FILE_BYTES), content
        if isinstance(self.limit, NotHashed):
            return self.limit, content
        return self.source.file_hash(self.file.path, self.limit, self.file.size, self.file.store_state), content

    def _read_whole(self) -> bytes | str:
        try:
            content = self.source.read_whole(self.file.path, MAX_FILE_BYTES)
        except ArtifactReadError as error:
            return str(error)
        return size_mismatch(self.file.size, len(content)) or content
