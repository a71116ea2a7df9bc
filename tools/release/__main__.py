"""``make release``: builds the packages of the last commit, checks them and puts them into dist/.

``make release RELEASE_ARGS=--snapshot`` does the same with a commit that is not a release. It needs no tag and no
section in CHANGELOG.md, and ignores files that are not committed.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tools.release import ReleaseError
from tools.release.bill_of_materials import write_bill_of_materials
from tools.release.changelog import release_notes
from tools.release.checkout import Checkout, clone, read_checkout, tracked_files
from tools.release.commands import output_of
from tools.release.contents import check_contents
from tools.release.distributions import FIRST, Distributions, build_twice
from tools.release.installation import (
    check_commands,
    check_demo,
    check_tests,
    create_installation,
)
from tools.release.preconditions import refusals

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build" / "env"
"""Where the Makefile installs requirements/build.txt, release.txt and sbom.txt, each into a folder of its own."""
PACKAGES = ROOT / "dist"
"""The folder with the sdist and the wheel, and nothing else: everything in it is published."""
ATTACHMENTS = ROOT / "build" / "release"
"""The folder with the bill of materials and the release notes."""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def release(*, snapshot: bool) -> None:
    """Empty dist/, build the packages, check them, and write them into dist/ only after all checks.

    Raises:
        ReleaseError: Something prevents the release.
    """
    checkout = read_checkout(ROOT)
    for folder in (PACKAGES, ATTACHMENTS):
        shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="verifywise-release-") as temporary:
        folder = Path(temporary)
        version, notes = _version_and_notes(checkout, folder, snapshot=snapshot)
        say(f"{'Snapshot' if snapshot else 'Release'} {version} of commit {checkout.commit[:12]}")
        distributions = build_twice(ROOT, checkout, _program("build", "hatchling"), folder / "builds")
        say("Two builds are equal, and so is the wheel that is built from the sdist")
        check_contents(distributions.sdist, distributions.wheel, tracked_files(distributions.source))
        output_of(
            _program("release", "twine"), "check", "--strict", distributions.sdist, distributions.wheel, cwd=folder
        )
        say("The packages hold what the commit holds, and their metadata is valid")
        ATTACHMENTS.mkdir(parents=True)
        _check_installed(distributions, version, folder / "installed")
        (ATTACHMENTS / "notes.md").write_text(notes, encoding="utf-8")
        PACKAGES.mkdir()
        for package in (distributions.sdist, distributions.wheel):
            shutil.copy(package, PACKAGES)
            say(f"dist/{package.name}")


def _version_and_notes(checkout: Checkout, folder: Path, *, snapshot: bool) -> tuple[str, str]:
    source = folder / "version"
    clone(ROOT, checkout.commit, source, umask=FIRST.umask)
    version = output_of(_program("build", "hatchling"), "version", cwd=source).splitlines()[-1]
    if snapshot:
        if checkout.changed_files:
            say(f"{len(checkout.changed_files)} files are not committed, and so not part of the snapshot")
        return version, f"A snapshot of {checkout.commit}.\n"
    changelog = (source / "CHANGELOG.md").read_text(encoding="utf-8")
    deploy = source / "deploy" / "kubernetes"
    manifests = {
        str(path.relative_to(source)): path.read_text(encoding="utf-8") for path in sorted(deploy.rglob("*.yaml"))
    }
    if reasons := list(refusals(checkout, version, changelog, manifests)):
        raise ReleaseError("\n".join(reasons))
    return version, release_notes(changelog, version)


def _check_installed(distributions: Distributions, version: str, folder: Path) -> None:
    """Install the wheel with each lock file in turn, and run the programs that the lock file is for."""
    folder.mkdir()
    locks = distributions.source / "requirements"
    installation = create_installation(folder)
    installation.install_lock(locks / "base.txt")
    installation.install_wheel(distributions.wheel)
    check_commands(installation, version)
    say("The installed command line works with requirements/base.txt")
    bill = ATTACHMENTS / "sbom.cdx.json"
    project = distributions.source / "pyproject.toml"
    write_bill_of_materials(installation, _program("sbom", "cyclonedx-py"), project, version, bill)
    installation.install_lock(locks / "demo.txt")
    check_demo(installation)
    say("The demo works with requirements/demo.txt")
    installation.install_lock(locks / "test.txt")
    check_tests(installation, distributions.sdist, say)


def _program(environment: str, name: str) -> Path:
    return ENVIRONMENTS / environment / "bin" / name


def main() -> None:
    """Parse the command line; exit with 1 if there is no release."""
    parser = argparse.ArgumentParser(prog="make release RELEASE_ARGS=…", description=__doc__.splitlines()[0])
    parser.add_argument("--snapshot", action="store_true", help="build a commit that is no release")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # temporary folders are removed on the way out
    try:
        release(snapshot=arguments.snapshot)
    except ReleaseError as error:
        sys.exit(f"There is no release.\n{error}")


if __name__ == "__main__":
    main()
