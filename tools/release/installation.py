"""Installs the wheel the way a user does, far from the checkout, and runs the demo and tests with it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.release import ReleaseError
from tools.release.commands import output_of
from tools.release.contents import PACKAGE
from tools.release.distributions import unpack

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")

TESTS = (
    "release/installed_wheel.py",
    "normalizer",
    "compliance/test_default_policy.py",
    "audit/test_verification.py",
    "persistence/test_migrations.py",
    "cli/test_commands.py",
)
"""Paths below verifywise_mlflow_tests. The tests cover where the package is imported from, decisions, the hash chain,
migrations, and commands that sync from a real MLflow server into a real Postgres."""

CLEAR_DEMO = """
from pathlib import Path
from verifywise_mlflow.demo.workdir import Workdir
Workdir(Path(".demo")).clear()
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """A virtual environment outside of the checkout, with a home and a working directory of its own."""

    environment: Path
    home: Path
    work: Path

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """Run a program of the environment, without the variables of this process; return its output.

        Raises:
            ReleaseError: The program fails.
        """
        program, *arguments = command
        variables = {
            "PATH": f"{self.environment / 'bin'}:{os.defpath}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "COLUMNS": "160",
        }
        return output_of(self.environment / "bin" / program, *arguments, cwd=cwd or self.work, environment=variables)

    def install_lock(self, lock: Path) -> None:
        """Install the packages of a lock file, each with its hash."""
        self._pip("--require-hashes", "--requirement", lock)

    def install_wheel(self, wheel: Path) -> None:
        """Install the wheel and nothing else."""
        self._pip("--no-index", wheel)

    def _pip(self, *arguments: str | Path) -> None:
        # pip runs outside of the environment, with the settings of this machine, so that the environment contains only
        # the installed packages.
        python = self.environment / "bin" / "python"
        # pip compiles all modules. Otherwise, MLflow and Dagster compile them when the demo starts them, and the demo
        # waits only two minutes.
        install = ("install", "--quiet", "--no-deps", "--only-binary", ":all:")
        output_of(*PIP, "--python", python, *install, *arguments, cwd=self.work)


def create_installation(folder: Path) -> Installation:
    """Create an empty virtual environment, an empty home and an empty working directory in a folder."""
    installation = Installation(folder / "environment", folder / "home", folder / "work")
    for path in (installation.home, installation.work):
        path.mkdir(parents=True)
    output_of(sys.executable, "-m", "venv", "--without-pip", installation.environment, cwd=folder)
    return installation


def check_commands(installation: Installation, version: str) -> None:
    """Run the commands that need nothing but a plain installation.

    Raises:
        ReleaseError: A command fails, or the version is another version.
    """
    shown = installation.run("verifywise-mlflow", "--version").strip()
    if shown != f"verifywise-mlflow {version}":
        raise ReleaseError(f"verifywise-mlflow --version prints {shown!r}, expected the version {version}")
    installation.run("verifywise-mlflow", "--help")
    installation.run("verifywise-mlflow", "frameworks")  # reads data files of the package


def check_demo(installation: Installation) -> str:
    """Run the demo once, and return its output. Its files are removed again, even if they are elsewhere.

    Raises:
        ReleaseError: The demo fails.
    """
    try:
        return installation.run("verifywise-mlflow", "demo", "--once")
    finally:
        if (installation.work / ".demo").exists():
            installation.run("python", "-c", CLEAR_DEMO)


def check_tests(installation: Installation, sdist: Path, say: Callable[[str], None]) -> None:
    """Run tests of the sdist with the installed package: the sdist is unpacked, and its own package is removed.

    Raises:
        ReleaseError: A test fails.
    """
    project = unpack(sdist, installation.work / "sdist")
    shutil.rmtree(project / PACKAGE)
    tests = [f"verifywise_mlflow_tests/{path}" for path in TESTS]
    # Tests start servers with modules of the working directory. They run in one process: two would compete with the
    # servers for two cores. The cache would be a folder in the sdist.
    output = installation.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, cwd=project)
    say(output.splitlines()[-1])
