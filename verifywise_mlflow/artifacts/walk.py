"""Walks a tree of remote files, breadth first and within bounds, and believes no path that the server sends."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from verifywise_mlflow.artifacts.limits import Limits
from verifywise_mlflow.artifacts.source import ArtifactSource, ArtifactUnreadable
from verifywise_mlflow.connector.models import RemoteFile

MAX_PROBLEMS = 20
"""So many are told one by one; a hostile listing may hold a million."""


@dataclass(frozen=True, slots=True)
class RefusedEntry(RemoteFile):
    """An entry that a source has found and will not open: a link, a device."""

    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The files below one directory, with what kept it from being all of them."""

    files: tuple[RemoteFile, ...]
    """Sorted by path; paths are relative to the source's root."""
    problems: tuple[str, ...]
    """Empty for a complete listing."""
    reached: bool = True
    """False where not even the first directory could be listed."""


def walk(source: ArtifactSource, path: str, limits: Limits, excluded: Collection[str] = ()) -> Listing:
    """List every file below ``path``.

    Args:
        source: The root that is listed from.
        path: The directory to start in, relative to that root; ``""`` is the root itself.
        limits: Bounds on files, directories and depth.
        excluded: Directories or files, relative to the root, that are left out with all that is below them.
    """
    files: dict[str, RemoteFile] = {}
    problems: list[str] = []
    waiting = deque([path])
    met = {(path, True)}  # in a bucket, a file and a folder may bear one name
    listed = 0
    while waiting:
        if listed == limits.directories:
            problems.append(f"the listing stops after {limits.directories} directories, the limit")
            break
        directory = waiting.popleft()
        listed += 1
        try:
            entries = source.list_directory(directory)
        except ArtifactUnreadable as error:
            problems.append(f"{_named(directory)} could not be listed: {error}")
            if directory == path:
                return Listing((), tuple(problems), reached=False)
            continue
        for entry in sorted(entries, key=lambda entry: entry.path):
            if fault := fault_of(entry, directory):
                problems.append(f"{_named(directory)} lists {_shown(entry.path)}, refused: {fault}")
            elif (entry.path, entry.is_directory) in met or _is_below_any(entry.path, excluded):
                continue  # what is listed twice adds nothing
            elif _depth(entry.path, path) > limits.depth:
                problems.append(f"{_shown(entry.path)} is left out: deeper than {limits.depth} levels, the limit")
            elif entry.is_directory:
                met.add((entry.path, entry.is_directory))
                waiting.append(entry.path)
            elif len(files) == limits.files:
                problems.append(f"the listing stops at {limits.files} files, the limit")
                waiting.clear()
                break
            else:
                met.add((entry.path, entry.is_directory))
                files[entry.path] = entry
    return Listing(tuple(files[name] for name in sorted(files)), shortened(problems))


def fault_of(entry: RemoteFile, directory: str) -> str | None:
    """Why an entry listed under ``directory`` cannot be believed, ``None`` where it can."""
    path = entry.path
    if isinstance(entry, RefusedEntry):
        return entry.reason
    if "\0" in path or not _is_unicode(path):
        return "the path is no text"
    if "\\" in path:
        return "the path holds a backslash"
    if path.startswith("/"):
        return "the path is absolute"
    if path == directory:
        return "the directory lists itself"
    if any(segment in ("", ".", "..") for segment in path.split("/")):
        return "the path is not in its plain form"
    if directory and not path.startswith(f"{directory}/"):
        return "the path lies outside of the directory"
    if entry.size is not None and entry.size < 0:
        return "the size is negative"
    return None


def shortened(problems: list[str]) -> tuple[str, ...]:
    """The first problems and how many more there are."""
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    return (*problems[:MAX_PROBLEMS], f"{len(problems) - MAX_PROBLEMS} more problems")


def _depth(path: str, root: str) -> int:
    return path.count("/") + 1 - (root.count("/") + 1 if root else 0)


def _is_below_any(path: str, excluded: Collection[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in excluded)


def _named(directory: str) -> str:
    return _shown(directory) if directory else "the root"


def _shown(path: str) -> str:
    return repr(path if len(path) <= 200 else f"{path[:200]}…")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which neither a URL nor Postgres can carry
        return False
    return True
