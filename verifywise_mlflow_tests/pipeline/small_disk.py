"""A Postgres whose disk is small and can be filled to the last byte.

``python -m verifywise_mlflow_tests.pipeline.small_disk`` prints its URL, then reads commands, one per line:
``fill`` fills the disk, ``free`` frees it. The program responds to each command with a line, and exits at the end of
its input. The disk is a tmpfs in a mount namespace of this process: no other process sees the disk, and the disk
vanishes with the process.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen, run

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres

FORBIDDEN = "this machine lets nobody mount a small disk in a namespace of one's own"

DISK_BYTES = 192 * 1024**2
"""A new data directory takes some 60 MB."""

# Root needs no user namespace: Postgres then runs as the account `nobody`, which would not exist in the namespace. Any
# other account needs a user namespace that maps the account to itself.
IN_A_NAMESPACE = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-current-user", "--keep-caps")))


class SmallDisk:
    """The running program, as a test uses it."""

    def __init__(self, process: Popen[str]) -> None:
        """Store the running program, and wait until its Postgres accepts connections."""
        self._process = process
        self.url = self._line()
        if self.url == FORBIDDEN:
            pytest.skip(f"a full disk is NOT shown here: {FORBIDDEN}")

    def fill(self) -> None:
        """Leave no byte free."""
        self._run_command("fill")

    def free(self) -> None:
        """Free the filled space."""
        self._run_command("free")

    def _run_command(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        assert self._line() == f"{command}: done"

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the program of the small disk ended by itself"
        return line


@contextmanager
def postgres_on_a_small_disk() -> Iterator[SmallDisk]:
    """Start the program; end it with the block."""
    if run([*IN_A_NAMESPACE, "true"], check=False).returncode:
        pytest.skip(f"a full disk is NOT shown here: {FORBIDDEN}")
    command = [*IN_A_NAMESPACE, sys.executable, "-m", __name__]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        try:
            yield SmallDisk(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


def main() -> None:
    """Run the program."""
    directory = Path(tempfile.mkdtemp(prefix="verifywise-small-disk-"))
    try:
        try:
            _mount(directory)
        except PermissionError:
            print(FORBIDDEN)  # noqa: T201  # the response
            return
        with EmbeddedPostgres(directory / "data", databases=["small"], log=directory / "postgres.log") as server:
            print(server.url("small"), flush=True)  # noqa: T201  # the response
            for line in sys.stdin:
                {"fill": _fill, "free": _free}[line.strip()](directory / "ballast")
                print(f"{line.strip()}: done", flush=True)  # noqa: T201
    finally:
        os.chdir("/")
        directory.rmdir() if not any(directory.iterdir()) else _unmount(directory)


def _fill(ballast_file: Path) -> None:
    try:
        with ballast_file.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def _free(ballast_file: Path) -> None:
    ballast_file.unlink()


def _mount(directory: Path) -> None:
    # Not mount(8): it refuses other users than root, even if the namespace allows it.
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={DISK_BYTES},mode=0755".encode()
    if libc.mount(b"tmpfs", os.fsencode(directory), b"tmpfs", 0, options):
        raise OSError(ctypes.get_errno(), "mount")


def _unmount(directory: Path) -> None:
    ctypes.CDLL(None).umount2(os.fsencode(directory), 2)  # lazily: the mount ends when the last file is closed
    directory.rmdir()


if __name__ == "__main__":
    main()
