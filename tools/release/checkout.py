"""The Git checkout that a release is made of: its last commit, and clones that contain nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.release.commands import output_of


@dataclass(frozen=True, slots=True)
class Checkout:
    """The last commit of a checkout, and the files that were changed since."""

    commit: str
    time: int
    """The commit's time, in seconds since 1970. The build backend sets it as the time of the files in the packages."""
    tags: frozenset[str]
    """The tags of this commit."""
    changed_files: tuple[str, ...]
    """Files that differ from the commit or are not part of it, apart from ignored ones."""


def read_checkout(root: Path) -> Checkout:
    """Return the state of the checkout in a folder."""
    commit, time = _git(root, "log", "-1", "--format=%H %ct").split()
    changes = _git(root, "status", "--porcelain", "-z").split("\0")
    return Checkout(
        commit=commit,
        time=int(time),
        tags=frozenset(_git(root, "tag", "--points-at", commit).split()),
        changed_files=tuple(change[3:] for change in changes if change[2:3] == " "),
    )


def clone(root: Path, commit: str, destination: Path, *, umask: int) -> None:
    """Check a commit out in a new folder, with all tags: the version is computed from them."""
    output_of("git", "clone", "--quiet", "--shared", "--no-checkout", root, destination, cwd=root, umask=umask)
    output_of("git", "-C", destination, "checkout", "--quiet", "--detach", commit, cwd=root, umask=umask)


def tracked_files(root: Path) -> frozenset[str]:
    """Return the paths of the files that are part of a commit, relative to the folder."""
    return frozenset(path for path in _git(root, "ls-files", "-z").split("\0") if path)


def _git(root: Path, *arguments: str) -> str:
    return output_of("git", "-C", root, *arguments, cwd=root)
