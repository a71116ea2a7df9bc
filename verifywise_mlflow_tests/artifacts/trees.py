"""Artifact sources for tests: a real local folder, and listings that no benign server produces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.connector.models import RemoteFile


class LocalSource:
    """A folder on disk, listed and read as by MLflow. It records each request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listed: list[str] = []
        self.opened: list[str] = []

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        self.listed.append(path)
        directory = self.folder / path
        if not directory.is_dir():
            return []  # MLflow lists a file, or a missing path, as an empty folder
        try:
            entries = list(directory.iterdir())
        except OSError as error:
            raise ArtifactReadError(error.strerror or "unreadable") from error
        return [
            RemoteFile(
                entry.relative_to(self.folder).as_posix(),
                entry.is_dir(),
                None if entry.is_dir() else entry.stat().st_size,
            )
            for entry in entries
        ]

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        self.opened.append(path)
        try:
            with (self.folder / path).open("rb") as stream:
                yield iter(lambda: stream.read(min(7, max_bytes - stream.tell())), b"")
        except OSError as error:
            raise ArtifactReadError(error.strerror or "unreadable") from error


class HostileSource:
    """Lists exactly the given entries for each directory. Every file contains ``content``."""

    def __init__(self, listings: Mapping[str, Sequence[RemoteFile]], content: bytes = b"") -> None:
        self.listings = listings
        self.content = content

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        if path not in self.listings:
            raise ArtifactReadError("500 Internal Server Error")
        return self.listings[path]

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:  # noqa: ARG002 - always the whole file
        yield iter([self.content])


def file(path: str, size: int | None = 0) -> RemoteFile:
    return RemoteFile(path, is_directory=False, size=size)


def directory(path: str) -> RemoteFile:
    return RemoteFile(path, is_directory=True, size=None)


def write_files(folder: Path, files: Mapping[str, bytes | str]) -> LocalSource:
    """Write the files below ``folder`` and return it as a source."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return LocalSource(folder)
