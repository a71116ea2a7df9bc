"""Starts services by forking a process that has imported everything: see ``warm_parent``."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import pytest

from verifywise_mlflow.demo.servers import process
from verifywise_mlflow_tests.support import warm_parent

_START_SECONDS: Final = 60.0
_PADDING: Final = "-" * 4096
_COLD_VARIABLES: Final = ("VERIFYWISE_SCHEMA",)
"""Variables that are read during an import. The parent has imported these modules already."""


class WarmProcess:
    """A forked service, with the part of the interface of ``subprocess.Popen`` that ``ChildProcess`` uses."""

    def __init__(self, connection: socket.socket) -> None:
        """Store the connection to the parent, which has sent the process id."""
        self._answers = connection.makefile("rb")
        self._connection = connection
        answer = self._answers.readline()
        assert answer, "the parent of the services has failed: its log is next to its socket"
        self.pid = int(answer)
        self._exit_code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._await_end(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code."""
        code = self._await_end(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal if the service still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the service if it still runs."""
        self.send_signal(signal.SIGKILL)

    def _await_end(self, timeout: float | None) -> int | None:
        if self._exit_code is None and select.select([self._connection], [], [], timeout)[0]:
            self._exit_code = int(self._answers.readline() or -signal.SIGKILL)
            self._answers.close()
            self._connection.close()
        return self._exit_code


class WarmPopen:
    """Replaces the module ``subprocess`` where services are started, and forks the services that the parent can run."""

    DEVNULL, STDOUT, PIPE = subprocess.DEVNULL, subprocess.STDOUT, subprocess.PIPE
    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self, address: Callable[[], Path]) -> None:
        """Store the function that returns the parent's address. It starts the parent if the parent does not run."""
        self._address = address

    def Popen(  # noqa: N802  # the name that it stands for
        self, command: Sequence[str], *, stdout: BinaryIO, env: Mapping[str, str] | None = None, **options: object
    ) -> WarmProcess | subprocess.Popen[bytes]:
        """Start a command."""
        is_known = [*command[:2]] == [sys.executable, "-m"] and command[2] in warm_parent.MODULES
        if env is None or not is_known or options.get("user") is not None or set(_COLD_VARIABLES) & env.keys():
            return subprocess.Popen(command, stdout=stdout, env=env, **options)  # type: ignore[call-overload, no-any-return]
        order = {
            "arguments": [*command],
            "environment": dict(env),
            "folder": str(options.get("cwd") or ""),
            "log": stdout.name,
        }
        connection = _connect(self._address())
        connection.sendall(json.dumps(order).encode() + b"\n")
        return WarmProcess(connection)


def _connect(address: Path) -> socket.socket:
    """Connect to the parent, which may still be starting."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(address))
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return connection


@contextmanager
def running_parent(address: Path) -> Iterator[Path]:
    """Run the parent. It imports nothing before the first service is started."""
    command = [sys.executable, "-u", "-m", warm_parent.__name__, str(address), _PADDING]
    log = address.with_suffix(".log")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=process.child_environment()
        ) as parent,
    ):
        yield address
        parent.communicate()  # the parent ends when its input ends


@contextmanager
def warm_services(address: Callable[[], Path]) -> Iterator[None]:
    """Fork the services that ``ChildProcess`` starts within the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "subprocess", WarmPopen(address))
        yield
