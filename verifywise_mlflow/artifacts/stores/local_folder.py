"""A local folder, such as a mounted share, opened step by step so that no symbolic link leads out of it.

Each directory is opened by name within its parent, never through a symbolic link; only regular files are opened. A
hard link is indistinguishable from a file, and a mount below the root counts as a part of the root. If a share's server
hangs, a read blocks for as long as the mount options allow: our deadlines cannot interrupt the kernel.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.tree_walk import RejectedEntry, require_normalized
from verifywise_mlflow.connector.models import RemoteFile

MAX_ENTRIES = 100_000
"""The maximum number of entries in one directory."""
_CHUNK_BYTES = 1024**2
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: if a FIFO replaces the file between stat and open, the open does not wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class LocalFolderSource:
    """An ``ArtifactSource``: one folder below a tenant's root."""

    def __init__(self, root: Path, below: Sequence[str], *, timeout_seconds: float) -> None:
        """Describe the folder; nothing is opened yet.

        Args:
            root: The tenant's root, absolute.
            below: The path segments from the root to the folder.
            timeout_seconds: The time limit for reading one file.
        """
        self._root = root
        self._below = tuple(below)
        self._timeout_seconds = timeout_seconds
        self.has_retryable_failure = False
        """Whether a read failed with an error that may be transient."""

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List the entries of a directory. As in MLflow, a directory that does not exist has no entries."""
        try:
            with self._directory(_segments(path)) as directory, os.scandir(directory) as entries:
                listed = [
                    _listed(entry, f"{path}/{entry.name}" if path else entry.name)
                    for entry in islice(entries, MAX_ENTRIES + 1)
                ]
        except (FileNotFoundError, NotADirectoryError) as error:
            if self._root_exists():
                return []
            raise self._read_error(error) from None  # an unmounted share must not look like an empty folder
        except ArtifactReadError:
            raise
        except OSError as error:
            raise self._read_error(error) from None
        if len(listed) > MAX_ENTRIES:
            raise ArtifactReadError(f"it has more than {MAX_ENTRIES:,} entries, the limit")
        return listed

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Yield one regular file's first bytes in chunks."""
        require_normalized(path)
        with open(self._open_file(path), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
            yield self._chunks(file.fileno(), max_bytes)

    def _open_file(self, path: str) -> int:
        *folders, name = path.split("/")
        try:
            with self._directory(folders) as directory:
                # Check before opening: for some devices, opening alone has effects.
                _require_regular(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
                file = os.open(name, _FILE, dir_fd=directory)
                try:
                    _require_regular(os.fstat(file).st_mode)
                except BaseException:
                    os.close(file)
                    raise
                return file
        except ArtifactReadError:
            raise
        except OSError as error:
            raise self._read_error(error) from None

    def _chunks(self, file: int, max_bytes: int) -> Iterator[bytes]:
        deadline = time.monotonic() + self._timeout_seconds
        bytes_left = max_bytes
        while bytes_left > 0:
            try:
                chunk = os.read(file, min(bytes_left, _CHUNK_BYTES))
            except OSError as error:
                raise self._read_error(error) from None
            if not chunk:
                return
            bytes_left -= len(chunk)
            yield chunk
            if time.monotonic() > deadline:
                raise ArtifactReadError(
                    f"reading it took longer than the {self._timeout_seconds:g} seconds allowed here"
                )

    @contextmanager
    def _directory(self, names: Sequence[str]) -> Iterator[int]:
        """Open a directory below the folder, step by step."""
        directory = os.open(self._root, _DIRECTORY)
        try:
            for name in (*self._below, *names):
                try:
                    inner = os.open(name, _DIRECTORY, dir_fd=directory)
                except NotADirectoryError:
                    # A link, or a single file that is registered as a model, which MLflow lists as an empty folder.
                    if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                        raise ArtifactReadError(f"{name!r} is a symbolic link, which is not followed") from None
                    raise
                os.close(directory)
                directory = inner
            yield directory
        finally:
            os.close(directory)

    def _root_exists(self) -> bool:
        """Return whether the tenant's root exists."""
        try:
            os.close(os.open(self._root, _DIRECTORY))
        except OSError:
            return False
        return True

    def _read_error(self, error: OSError) -> ArtifactReadError:
        self.has_retryable_failure = True  # a share may be remounted, and an operator may correct a permission
        return ArtifactReadError(error.strerror or "it cannot be read")


def _listed(entry: os.DirEntry[str], path: str) -> RemoteFile:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError as error:  # deleted in the meantime, or not accessible
        return RejectedEntry(path, False, None, reason=f"its type cannot be read: {error.strerror}")
    if stat.S_ISDIR(status.st_mode):
        return RemoteFile(path, True, None)
    if stat.S_ISREG(status.st_mode):
        return RemoteFile(path, False, status.st_size)
    return RejectedEntry(path, False, None, reason=f"it is {_kind(status.st_mode)}, not a file")


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise ArtifactReadError(f"it is {_kind(mode)}, not a file")


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a directory" if stat.S_ISDIR(mode) else "of an unknown type")


def _segments(path: str) -> list[str]:
    """Return the segments of a path.

    Raises:
        ArtifactReadError: The path could lead out of the folder.
    """
    if not path:
        return []
    require_normalized(path)
    return path.split("/")
