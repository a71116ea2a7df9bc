"""Writes a folder of pages next to its destination, and replaces the destination atomically when it is complete.

A reader sees either the earlier report or the new report, never a mixture. A report that fails leaves the earlier one
in place.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from verifywise_mlflow.documents.report.site_paths import MANIFEST

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
"""The flag of renameat2(2) that swaps two paths in one step."""


class UnsuitableFolderError(Exception):
    """The destination cannot be replaced."""


class PageFolder:
    """A folder that is being filled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folders: set[Path] = set()

    def write(self, path: str, content: str) -> None:
        """Write a file, given its path relative to the folder. Its folders are created."""
        target = self.path / path
        if target.parent not in self._folders:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(target.parent)
        # Lone surrogates, which a file of UTF-8 cannot have, are escaped by the templates.
        target.write_text(content, encoding="utf-8", newline="\n")


@contextmanager
def replaced_folder(destination: Path) -> Iterator[PageFolder]:
    """Yield a folder to fill. It replaces the destination when the block ends, and is deleted if the block raises.

    Raises:
        UnsuitableFolderError: the destination is a file, or a folder with anything other than a report.
        OSError: a file cannot be written.
    """
    destination = destination.absolute()
    require_replaceable(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    try:
        yield PageFolder(work)
        work.chmod(0o777 & ~_umask())  # mkdtemp makes the folder private
        _put_in_place(work, destination)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def require_replaceable(destination: Path) -> None:
    """Refuse to replace a folder or file that is not a report.

    Raises:
        UnsuitableFolderError: the destination is a file, or a folder with anything other than a report.
    """
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise UnsuitableFolderError(f"{destination} is not a folder: name a folder for the report")
    if destination.is_dir() and any(destination.iterdir()) and not (destination / MANIFEST).is_file():
        raise UnsuitableFolderError(
            f"{destination} has files that are not a report, which would be deleted: name an empty or a new folder"
        )


def _put_in_place(work: Path, destination: Path) -> None:
    """Rename the folder. If there is an earlier folder, swap the two, so that the path always exists."""
    if not destination.exists():
        work.rename(destination)
    elif not _exchange(work, destination):
        earlier = work.with_name(f"{work.name}.earlier")
        destination.rename(earlier)
        work.rename(destination)
        shutil.rmtree(earlier, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders; return False if the operating system or the file system cannot swap them."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return False
    swapped = library.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return bool(swapped == 0)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
