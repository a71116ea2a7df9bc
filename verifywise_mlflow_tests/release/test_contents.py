"""A release is refused if a package lacks a file or has an additional file."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from tools.release import ReleaseError
from tools.release.contents import METADATA, check_contents

TRACKED = frozenset({"README.md", "verifywise_mlflow/__init__.py", "verifywise_mlflow/data.yaml"})
IN_WHEEL = {path for path in TRACKED if path.startswith("verifywise_mlflow/")}


def packages(folder: Path, in_sdist: Iterable[str], in_wheel: Iterable[str]) -> tuple[Path, Path]:
    """Write an sdist and a wheel with empty files."""
    sdist, wheel = folder / "verifywise_mlflow-1.0.tar.gz", folder / "verifywise_mlflow-1.0-py3-none-any.whl"
    with tarfile.open(sdist, "w:gz") as tar:
        for path in in_sdist:
            tar.addfile(tarfile.TarInfo(f"verifywise_mlflow-1.0/{path}"), io.BytesIO())
    with zipfile.ZipFile(wheel, "w") as zipped:
        for path in [*in_wheel, *(f"verifywise_mlflow-1.0.dist-info/{name}" for name in METADATA)]:
            zipped.writestr(path, "")
    return sdist, wheel


def test_packages_with_exactly_the_files_of_the_commit_pass(tmp_path: Path) -> None:
    check_contents(*packages(tmp_path, TRACKED | {"PKG-INFO"}, IN_WHEEL), TRACKED)


def test_a_link_counts_as_a_file(tmp_path: Path) -> None:
    sdist, wheel = packages(tmp_path, TRACKED, IN_WHEEL)
    link = tarfile.TarInfo("verifywise_mlflow-1.0/PKG-INFO")
    link.type, link.linkname = tarfile.SYMTYPE, "README.md"
    with tarfile.open(sdist, "r:gz") as tar:
        files = list(tar)
    with tarfile.open(sdist, "w:gz") as tar:
        for member in [*files, link]:
            tar.addfile(member)

    check_contents(sdist, wheel, TRACKED)


@pytest.mark.parametrize(
    ("in_sdist", "in_wheel", "problem"),
    [
        (TRACKED, IN_WHEEL, r"\.tar\.gz lacks PKG-INFO"),
        (TRACKED | {"PKG-INFO", ".env"}, IN_WHEEL, r"\.tar\.gz should not have \.env"),
        (TRACKED | {"PKG-INFO"}, {"verifywise_mlflow/__init__.py"}, r"\.whl lacks verifywise_mlflow/data\.yaml"),
        (TRACKED | {"PKG-INFO"}, IN_WHEEL | {"benchmarks/soak.py"}, r"\.whl should not have benchmarks/soak\.py"),
    ],
)
def test_a_missing_and_an_additional_file_are_refused(
    in_sdist: set[str], in_wheel: set[str], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ReleaseError, match=problem):
        check_contents(*packages(tmp_path, in_sdist, in_wheel), TRACKED)
