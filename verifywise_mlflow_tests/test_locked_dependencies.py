"""Every dependency of each extra, of the build and of the servers that tests start is pinned with its hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from verifywise_mlflow_tests.support.documentation import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
SERVERS = sorted((ROOT / "verifywise_mlflow_tests" / "compat" / "servers").glob("*.txt"))


def pins(lock: Path) -> dict[str, list[str]]:
    """Return the hashes of each pinned release in a lock file. Any other line is an error."""
    text = "\n".join(line for line in lock.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    entries = [entry for entry in re.split(r"(?<!\\)\n", text) if entry.strip()]
    found = {}
    for entry in entries:
        pin = re.match(r"([A-Za-z0-9._-]+==[^ ;]+)", entry)
        assert pin, f"{lock.name}: {entry[:80]!r} is not a pin"
        found[pin[1]] = re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)
    return found


@pytest.mark.parametrize("lock", [*LOCKS, *SERVERS], ids=lambda lock: lock.name)
def test_every_release_in_a_lock_file_has_hashes(lock: Path) -> None:
    without_hash = [release for release, hashes in pins(lock).items() if not hashes]

    assert pins(lock)
    assert without_hash == []


def test_the_build_backend_is_pinned_to_the_locked_release() -> None:
    backend = set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"])

    assert backend <= pins(ROOT / "requirements" / "build.txt").keys()
    assert backend <= pins(ROOT / "requirements" / "dev.txt").keys()


def test_every_installation_checks_hashes() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = [line for line in makefile.splitlines() if "pip install" in line]

    assert installs
    for line in installs:
        assert "--require-hashes" in line or "--no-deps --no-build-isolation --editable ." in line
