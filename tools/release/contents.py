"""What is in the sdist and the wheel: every file that is meant to be there, and no other."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Set
from pathlib import Path

from tools.release import ReleaseError

PACKAGE = "verifywise_mlflow"
METADATA = frozenset({"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"})
SHOWN_FILES = 10


def check_contents(sdist: Path, wheel: Path, tracked: Set[str]) -> None:
    """Compare the packages with the files of the commit: the sdist has all of them, the wheel has the package's.

    Raises:
        ReleaseError: A file is missing, or a package has an additional file.
    """
    prefix = sdist.name.removesuffix(".tar.gz")
    with tarfile.open(sdist) as tar:
        found = {item.name.removeprefix(f"{prefix}/") for item in tar if not item.isdir()}  # links, too
    _require(sdist.name, found, tracked | {"PKG-INFO"})
    package_files = {path for path in tracked if path.startswith(f"{PACKAGE}/")}
    _require(wheel.name, set(wheel_files(wheel)), package_files | wheel_metadata(wheel))


def wheel_files(wheel: Path) -> list[str]:
    """Return the path of each file in a wheel."""
    with zipfile.ZipFile(wheel) as zipped:
        return [name for name in zipped.namelist() if not name.endswith("/")]


def wheel_metadata(wheel: Path) -> frozenset[str]:
    """Return the paths of the files that the build backend adds to a wheel with that name."""
    name, version = wheel.name.split("-")[:2]
    return frozenset(f"{name}-{version}.dist-info/{file}" for file in METADATA)


def _require(archive: str, found: Set[str], expected: Set[str]) -> None:
    problems = [
        f"{archive} {verb} {_listed(files)}"
        for verb, files in (("lacks", expected - found), ("should not have", found - expected))
        if files
    ]
    if problems:
        raise ReleaseError("; ".join(problems))


def _listed(files: Iterable[str]) -> str:
    ordered = sorted(files)
    more = len(ordered) - SHOWN_FILES
    return ", ".join(ordered[:SHOWN_FILES]) + (f" and {more} more" if more > 0 else "")
