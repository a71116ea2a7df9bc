"""Child processes that can be stopped for certain: each leads a process group of its own, and writes to a log file."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own, for this one call

from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.servers import watchdog

_NOT_FOR_CHILDREN = ("MLFLOW_", "DAGSTER_", "VERIFYWISE_", "DATABRICKS_", "PG", "PYTHON", "UVICORN_", "GUNICORN_")
"""What the user's shell says about other servers and other Pythons."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the system."""

    uid: int
    gid: int


def child_environment(**extra: str) -> dict[str, str]:
    """Return our environment without what points children to other servers, and with what is given.

    Proxies are left out as well: all that the demo talks to is on 127.0.0.1.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_NOT_FOR_CHILDREN) and not name.upper().endswith("_PROXY")
    }
    return kept | {"PYTHONUNBUFFERED": "1"} | extra


class ChildProcess:
    """A running program, the leader of its own session and process group."""

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
            name: what people call it.
            command: the program and its arguments.
            log: where its output goes; it is begun anew.
            env: its whole environment.
            cwd: where it runs.
            account: who it runs as, where that is not us; only root may choose.
            stop_signal: what it takes as a request to stop at once, but properly.
        """
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        _watchdog.start()  # before there is anybody to look after
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
                # A shell that starts us in the background has us ignore SIGINT; children inherit that, and both
                # Dagster (which copies it to SIGTERM) and Postgres could then not be stopped.
                preexec_fn=_heed_interrupts,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        _watchdog.look_after(self.pid, stop_signal)

    @property
    def pid(self) -> int:
        """Its process id, which is its group's as well."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """What it ended with; negative for the signal that killed it, none while it runs."""
        return self._process.poll()

    def owns_port(self, port: int) -> bool:
        """Whether it, or a process that it started, listens on the port: another program's answer is not its own."""
        try:
            process = psutil.Process(self.pid)
            family = [process, *process.children(recursive=True)]
            return any(
                connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
                for member in family
                for connection in member.net_connections("tcp")
            )
        except psutil.Error:  # one of them ended meanwhile: ask again
            return False

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that it wrote."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def failure(self, what: str) -> ProcessFailedError:
        """Return an error that says what went wrong, with the log's tail."""
        return ProcessFailedError(f"{self.name} {what}. The end of its log, {self.log}:\n{self.log_tail()}")

    def stop(self) -> None:
        """Stop it and all that it started; what does not heed the request is killed. Doing so twice is fine."""
        if self.is_alive():
            # The leader first: it may want to end its own children in order.
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(watchdog.PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        watchdog.stop_groups({self.pid: self._stop_signal})
        _watchdog.forget(self.pid)

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Watchdog:
    """Our end of the pipe to the watchdog."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it, unless it is there already."""
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(  # noqa: S603
                    [sys.executable, "-I", "-S", watchdog.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                atexit.register(self._let_go)

    def look_after(self, pgid: int, stop_signal: int) -> None:
        """Have it stop the group when we are gone."""
        self._order(f"+{pgid} {stop_signal}\n")

    def forget(self, pgid: int) -> None:
        """Have it leave the group alone."""
        self._order(f"-{pgid}\n")

    def _order(self, order: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        # Without it (somebody killed it) nobody watches, but all else works.
        with self._lock, suppress(BrokenPipeError):
            self._process.stdin.write(order.encode())
            self._process.stdin.flush()

    def _let_go(self) -> None:
        assert self._process is not None
        with suppress(BrokenPipeError):
            self._process.communicate()


_watchdog = _Watchdog()


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_port(child: ChildProcess, port: int, *, seconds: float) -> None:
    """Wait until the child itself listens on the port.

    Raises:
        ProcessFailedError: it ended, or took too long.
    """
    deadline = time.monotonic() + seconds
    while not child.owns_port(port):
        if not child.is_alive():
            raise child.failure("ended while it was starting")
        if time.monotonic() > deadline:
            raise child.failure(f"did not listen on port {port} within {seconds:.0f} s")
        time.sleep(0.1)
