"""Two builds are compared byte by byte, and the difference is named."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest

from tools.release import ReleaseError
from tools.release.distributions import require_equal

EPOCH = (1980, 1, 1, 0, 0, 0)
LATER = (2026, 1, 1, 0, 0, 0)


def wheel(folder: Path, files: dict[str, str], *, time: tuple[int, int, int, int, int, int] = EPOCH) -> Path:
    folder.mkdir()
    with zipfile.ZipFile(folder / "package-1.0-py3-none-any.whl", "w") as zipped:
        for name, text in files.items():
            zipped.writestr(zipfile.ZipInfo(name, time), text)
    return folder / "package-1.0-py3-none-any.whl"


def sdist(folder: Path, mode: int) -> Path:
    folder.mkdir()
    with tarfile.open(folder / "package-1.0.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("package-1.0/README.md")
        member.mode = mode
        tar.addfile(member)
    return folder / "package-1.0.tar.gz"


def test_equal_bytes_are_equal(tmp_path: Path) -> None:
    files = {"a.py": "1", "b.py": "2"}

    require_equal(wheel(tmp_path / "1", files), wheel(tmp_path / "2", files), "of two builds")


@pytest.mark.parametrize(
    ("files", "time", "difference"),
    [
        ({"a.py": "1", "b.py": "3"}, EPOCH, r"differ: b\.py$"),
        ({"a.py": "1"}, EPOCH, r"differ: b\.py$"),
        ({"a.py": "1", "b.py": "2"}, LATER, r"differ: a\.py, b\.py$"),
        ({"b.py": "2", "a.py": "1"}, EPOCH, "differ: only in the order"),
    ],
)
def test_a_difference_in_content_time_or_order_is_refused(
    files: dict[str, str], time: tuple[int, int, int, int, int, int], difference: str, tmp_path: Path
) -> None:
    one = wheel(tmp_path / "1", {"a.py": "1", "b.py": "2"})

    with pytest.raises(ReleaseError, match=difference):
        require_equal(one, wheel(tmp_path / "2", files, time=time), "of two builds")


def test_a_difference_in_permissions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"README\.md"):
        require_equal(sdist(tmp_path / "1", 0o644), sdist(tmp_path / "2", 0o600), "of two builds")
