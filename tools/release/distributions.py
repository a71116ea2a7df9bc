"""Builds the sdist and the wheel, and proves that a second build gives the same bytes."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.release import ReleaseError
from tools.release.checkout import Checkout, clone
from tools.release.commands import output_of

SHOWN_MEMBERS = 5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Properties in which machines differ, and on which a package must not depend."""

    folder: str
    umask: int
    variables: Mapping[str, str]


FIRST = Surroundings("source", 0o022, {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"})
SECOND = Surroundings("another/longer path", 0o077, {"TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "1"})


@dataclass(frozen=True, slots=True)
class Distributions:
    """The two files of a release, and the commit's files that they were built from."""

    sdist: Path
    wheel: Path
    source: Path


def build_twice(root: Path, checkout: Checkout, backend: Path, folder: Path) -> Distributions:
    """Build the last commit in two clones, and the wheel also from the sdist; return the first build.

    Args:
        root: The checkout.
        checkout: Its state.
        backend: The ``hatchling`` of the environment that was installed from requirements/build.txt.
        folder: An empty folder for the clones and the packages.

    Raises:
        ReleaseError: A build fails, or the builds differ.
    """
    first, second = (_build_in_clone(root, checkout, backend, folder, surroundings) for surroundings in (FIRST, SECOND))
    require_equal(first.sdist, second.sdist, "of two builds")
    require_equal(first.wheel, second.wheel, "of two builds")
    unpacked = unpack(first.sdist, folder / "unpacked")
    _hatchling(backend, unpacked, folder / "from-sdist", "wheel", _variables(checkout, FIRST), FIRST.umask)
    require_equal(first.wheel, only(folder / "from-sdist", "*.whl"), "built from the commit and from the sdist")
    return first


def require_equal(one: Path, other: Path, which: str) -> None:
    """Compare two archives byte by byte.

    Raises:
        ReleaseError: They differ; the message names up to ``SHOWN_MEMBERS`` differing members.
    """
    if one.name != other.name:
        raise ReleaseError(f"the names {which} differ: {one.name}, {other.name}")
    if one.read_bytes() == other.read_bytes():
        return
    left, right = members(one), members(other)
    differing = sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
    shown = ", ".join(differing[:SHOWN_MEMBERS]) or "only in the order or the compression of the members"
    raise ReleaseError(f"the files {one.name} {which} differ: {shown}")


def members(archive: Path) -> dict[str, tuple[object, ...]]:
    """Return, for each file in an archive, the properties that must not differ, such as permissions and content."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as zipped:
            return {
                item.filename: (item.external_attr, item.date_time, zipped.read(item)) for item in zipped.infolist()
            }
    with tarfile.open(archive) as tar:
        contents = {item.name: tar.extractfile(item) for item in tar.getmembers()}
        return {
            item.name: (
                item.mode,
                item.mtime,
                item.uid,
                item.gid,
                file.read() if (file := contents[item.name]) else b"",
            )
            for item in tar.getmembers()
        }


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist and return the folder of its project.

    Raises:
        ReleaseError: It has more than one folder at its top, or none.
    """
    with tarfile.open(sdist) as tar:
        tar.extractall(folder, filter="data")
    return only(folder, "*")


def only(folder: Path, pattern: str) -> Path:
    """Return the only path in a folder that matches a pattern.

    Raises:
        ReleaseError: No path or several match.
    """
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise ReleaseError(f"{folder} should hold one {pattern}, but holds {len(found)}")
    return found[0]


def _build_in_clone(
    root: Path, checkout: Checkout, backend: Path, folder: Path, surroundings: Surroundings
) -> Distributions:
    source = folder / surroundings.folder
    output = source.with_name("packages")
    source.parent.mkdir(parents=True, exist_ok=True)
    clone(root, checkout.commit, source, umask=surroundings.umask)
    for target in ("sdist", "wheel"):
        _hatchling(backend, source, output, target, _variables(checkout, surroundings), surroundings.umask)
    return Distributions(only(output, "*.tar.gz"), only(output, "*.whl"), source)


def _variables(checkout: Checkout, surroundings: Surroundings) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": str(checkout.time), **surroundings.variables}


def _hatchling(
    backend: Path, source: Path, output: Path, target: str, variables: Mapping[str, str], umask: int
) -> None:
    arguments = ("build", "--target", target, "--directory", output)
    output_of(backend, *arguments, cwd=source, environment=variables, umask=umask)
