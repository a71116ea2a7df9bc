"""Child processes that can be stopped reliably: each leads its own process group and writes to a log file."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil  # type: ignore[import-untyped]  # its stubs are a separate package, for one call

from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.servers import watchdog

_EXCLUDED_PREFIXES = ("MLFLOW_", "DAGSTER_", "VERIFYWISE_", "DATABRICKS_", "PG", "PYTHON", "UVICORN_", "GUNICORN_")
"""Variables of the user's shell that point to other servers and other Pythons."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the operating system."""

    uid: int
    gid: int


def child_environment(**extra: str) -> dict[str, str]:
    """Return our environment plus ``extra``, without variables that point children to other servers.

    Proxy variables are excluded too: the demo connects to 127.0.0.1 only.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_EXCLUDED_PREFIXES) and not name.upper().endswith("_PROXY")
    }
    return inherited | {"PYTHONUNBUFFERED": "1"} | extra


class ChildProcess:
    """A running program that leads its own session and process group."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str],
        cwd: Path | None = None,
        account: Account | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start the program.

        Args:
            name: The program's name in messages.
            command: The program and its arguments.
            log: The file for its output; it is truncated first.
            env: The program's whole environment.
            cwd: The program's working directory.
            account: The account to run as; only root can choose one.
            stop_signal: The signal that makes the program stop promptly and cleanly.
        """
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        _watchdog.start()  # before the first child starts
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own commands, no shell
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                # A shell that starts us in the background makes us ignore SIGINT. Children inherit that, and then
                # neither Dagster (which copies the handler to SIGTERM) nor Postgres can be stopped.
                preexec_fn=_restore_interrupts,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        _watchdog.register(self.pid, stop_signal)

    @property
    def pid(self) -> int:
        """The program's process id, which is also its group id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Return whether the program is running."""
        return self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """The program's exit code: negative for the signal that killed it, None while it runs."""
        return self._process.poll()

    def owns_port(self, port: int) -> bool:
        """Return whether this program or one of its descendants listens on the port, rather than another program."""
        try:
            process = psutil.Process(self.pid)
            family = [process, *process.children(recursive=True)]
            return any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                for member in family
                for connection in member.net_connections("tcp")
            )
        except psutil.Error:  # a process has ended: the caller retries
            return False

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of the program's log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def failure(self, description: str) -> ProcessFailedError:
        """Return an error with the tail of the log."""
        return ProcessFailedError(f"{self.name} {description}. The end of its log {self.log}:\n{self.log_tail()}")

    def stop(self) -> None:
        """Stop the program and its descendants; kill the processes that do not stop in time. Idempotent."""
        if self.is_alive():
            # The leader gets the signal first: it may stop its own children in order.
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(watchdog.STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        watchdog.stop_groups({self.pid: self._stop_signal})
        _watchdog.unregister(self.pid)

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Watchdog:
    """The client of the watchdog process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the watchdog unless it was started before."""
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-I", "-S", watchdog.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                atexit.register(self._release)

    def register(self, pgid: int, stop_signal: int) -> None:
        """Make the watchdog stop the group if this process dies."""
        self._send(f"+{pgid} {stop_signal}\n")

    def unregister(self, pgid: int) -> None:
        """Release the group."""
        self._send(f"-{pgid}\n")

    def _send(self, order: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # If the watchdog was killed, nothing watches the children, but everything else works.
        with self._lock, suppress(BrokenPipeError):
            self._process.stdin.write(order.encode())
            self._process.stdin.flush()

    def _release(self) -> None:
        assert self._process is not None
        with suppress(BrokenPipeError):
            self._process.communicate()


_watchdog = _Watchdog()


def _restore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_port(child: ChildProcess, port: int, *, seconds: float) -> None:
    """Wait until the child itself listens on the port.

    Raises:
        ProcessFailedError: The child ended or took too long.
    """
    deadline = time.monotonic() + seconds
    while not (_is_open(port) and child.owns_port(port)):
        if not child.is_alive():
            raise child.failure("ended while it was starting")
        if time.monotonic() > deadline:
            raise child.failure(f"did not listen on port {port} within {seconds:.0f} s")
        time.sleep(0.1)


def _is_open(port: int) -> bool:
    """Return whether any program listens on the port.

    Finding out which program listens costs a hundred times as much CPU time.
    """
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
