"""Runs the programs of a release with given environment variables, and reports a failure with the program's output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.release import ReleaseError

SHOWN_LINES = 40


def output_of(*command: str | Path, cwd: Path, environment: Mapping[str, str] | None = None, umask: int = 0o022) -> str:
    """Run a program and return its output, including its error messages.

    Args:
        command: The program and its arguments.
        cwd: Its working directory.
        environment: All of its environment variables; None for those of this process.
        umask: The permissions that the files it creates do not get.

    Raises:
        ReleaseError: The program exits with another code than 0.
        OSError: The program cannot be started.
    """
    done = subprocess.run(  # noqa: S603  # programs of a release, and arguments of ours
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ if environment is None else environment,
        umask=umask,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shown = "\n".join(done.stdout.splitlines()[-SHOWN_LINES:])
        raise ReleaseError(
            f"{Path(command[0]).name} exits with {done.returncode}: {' '.join(map(str, command))}\n{shown}"
        )
    return done.stdout
