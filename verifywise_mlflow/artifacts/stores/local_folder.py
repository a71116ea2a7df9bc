"""A folder of this machine, such as a mounted share, opened step by step so that no link leads out of it.

Each directory on the way is opened by its name within the one before, and never through a symbolic link; what is no
regular file is not opened at all. A hard link cannot be told from a file, and a mount below the root is part of it.
A share whose server hangs holds whoever reads from it for as long as its mount options say: no deadline of ours
reaches into the kernel.
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
from verifywise_mlflow.artifacts.walk import RejectedEntry, rejection_reason
from verifywise_mlflow.connector.models import RemoteFile

MAX_ENTRIES = 100_000
"""Of one directory."""
_CHUNK_BYTES = 1024**2
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: should a FIFO take the file's place between the look and the opening, nobody waits for a writer.
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

    def __init__(self, root: Path, below: Sequence[str], *, seconds: float) -> None:
        """Describe the folder; nothing is opened yet.

        Args:
            root: The tenant's root, absolute.
            below: The names that lead from it to the folder.
            seconds: How long the reading of one file may take.
        """
        self._root = root
        self._below = tuple(below)
        self._seconds = seconds
        self.has_retryable_failure = False
        """Whether something could not be read that a later try may read."""

    def list_directory(self, path: str) -> Sequence[RemoteFile]:
        """List the entries of a directory; none where there is no such directory, as MLflow has it."""
        try:
            with self._directory(_names(path)) as directory, os.scandir(directory) as entries:
                found = [
                    _listed(entry, f"{path}/{entry.name}" if path else entry.name)
                    for entry in islice(entries, MAX_ENTRIES + 1)
                ]
        except (FileNotFoundError, NotADirectoryError) as error:
            if self._is_there():
                return []
            raise self._unreadable(error) from None  # an empty answer must not come from a share that is not mounted
        except ArtifactReadError:
            raise
        except OSError as error:
            raise self._unreadable(error) from None
        if len(found) > MAX_ENTRIES:
            raise ArtifactReadError(f"it has more than {MAX_ENTRIES:,} entries, the limit")
        return found

    @contextmanager
    def read(self, path: str, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """Give one regular file's first bytes in chunks."""
        if rejection_reason(RemoteFile(path, False, None), ""):
            raise ArtifactReadError("its name is not in its plain form")
        with open(self._opened(path), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
            yield self._chunks(file.fileno(), max_bytes)

    def _opened(self, path: str) -> int:
        *folders, name = path.split("/")
        try:
            with self._directory(folders) as directory:
                # Looked at before it is opened: opening alone makes some devices act.
                _refuse_unless_regular(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
                file = os.open(name, _FILE, dir_fd=directory)
                try:
                    _refuse_unless_regular(os.fstat(file).st_mode)
                except BaseException:
                    os.close(file)
                    raise
                return file
        except ArtifactReadError:
            raise
        except OSError as error:
            raise self._unreadable(error) from None

    def _chunks(self, file: int, max_bytes: int) -> Iterator[bytes]:
        deadline = time.monotonic() + self._seconds
        left = max_bytes
        while left > 0:
            try:
                chunk = os.read(file, min(left, _CHUNK_BYTES))
            except OSError as error:
                raise self._unreadable(error) from None
            if not chunk:
                return
            left -= len(chunk)
            yield chunk
            if time.monotonic() > deadline:
                raise ArtifactReadError(f"reading it took longer than the {self._seconds:g} seconds allowed here")

    @contextmanager
    def _directory(self, names: Sequence[str]) -> Iterator[int]:
        """Open a directory below the folder, step by step."""
        directory = os.open(self._root, _DIRECTORY)
        try:
            for name in (*self._below, *names):
                try:
                    inner = os.open(name, _DIRECTORY, dir_fd=directory)
                except NotADirectoryError:
                    # A link, or a file. MLflow shows a file as an empty folder, and people register single files.
                    if stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                        raise ArtifactReadError(f"{name!r} is a symbolic link, which is not followed") from None
                    raise
                os.close(directory)
                directory = inner
            yield directory
        finally:
            os.close(directory)

    def _is_there(self) -> bool:
        """Whether the tenant's root is there."""
        try:
            os.close(os.open(self._root, _DIRECTORY))
        except OSError:
            return False
        return True

    def _unreadable(self, error: OSError) -> ArtifactReadError:
        self.has_retryable_failure = True  # a share comes and goes, and whoever runs this may mend a permission
        return ArtifactReadError(error.strerror or "it cannot be read")


def _listed(entry: os.DirEntry[str], path: str) -> RemoteFile:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError as error:  # gone since, or not ours to look at
        return RejectedEntry(path, False, None, f"it cannot be looked at: {error.strerror}")
    if stat.S_ISDIR(found.st_mode):
        return RemoteFile(path, True, None)
    if stat.S_ISREG(found.st_mode):
        return RemoteFile(path, False, found.st_size)
    return RejectedEntry(path, False, None, f"it is {_kind(found.st_mode)}, not a file")


def _refuse_unless_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise ArtifactReadError(f"it is {_kind(mode)}, not a file")


def _kind(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a directory" if stat.S_ISDIR(mode) else "something unknown")


def _names(path: str) -> list[str]:
    """Return a path's names.

    Raises:
        ArtifactUnreadable: It could lead elsewhere.
    """
    if path and rejection_reason(RemoteFile(path, False, None), ""):
        raise ArtifactReadError("its name is not in its plain form")
    return path.split("/") if path else []
