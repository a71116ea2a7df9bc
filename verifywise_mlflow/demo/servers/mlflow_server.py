"""A real MLflow tracking server on a free port of 127.0.0.1, for the duration of a block."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import urllib3

from verifywise_mlflow.demo.errors import ProcessFailedError
from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment, wait_for_port

START_TIMEOUT_S = 120.0
"""In seconds. A start takes 5 to 10 s on two cores, and a few seconds more if MLflow first creates a new database's
tables."""
MAX_ATTEMPTS = 3
"""Another process may take the free port before MLflow does."""


class MlflowServer:
    """A tracking server with its own backend and artifact folder; it also serves the artifacts."""

    def __init__(
        self,
        *,
        backend_uri: str,
        artifacts: Path,
        log: Path,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        preferred_port: int | None = None,
        program: Sequence[str | Path] = (sys.executable, "-m", "mlflow"),
    ) -> None:
        """Describe the server.

        Args:
            backend_uri: The SQLAlchemy URL of the server's database, for example of a SQLite file.
            artifacts: The server's artifact folder.
            log: The server's log file.
            arguments: More arguments of ``mlflow server``, e.g. ``--enable-workspaces`` or ``--static-prefix=/ml``.
            environment: More environment variables. The server does not inherit our MLflow variables.
            preferred_port: The port to use if it is free.
            program: The command of MLflow, e.g. the command of another Python installation.
        """
        self._backend_uri = backend_uri
        self._artifacts = artifacts
        self._log = log
        self._arguments = tuple(arguments)
        self._environment = dict(environment or {})
        self._preferred_port = preferred_port
        self._program = tuple(program)
        self._port = 0
        self._process: ChildProcess | None = None

    @property
    def process(self) -> ChildProcess:
        """The server's process, once it is started."""
        assert self._process is not None
        return self._process

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._port

    @property
    def uri(self) -> str:
        """The tracking URI, including the static prefix."""
        return f"http://127.0.0.1:{self._port}{self._prefix()}"

    def __enter__(self) -> MlflowServer:
        try:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                self._start(self._preferred_port if attempt == 1 else None)
                try:
                    self._wait_until_healthy()
                except ProcessFailedError:
                    if attempt == MAX_ATTEMPTS or "address already in use" not in self.process.log_tail().lower():
                        raise
                    self.stop()
                else:
                    return self
        except BaseException:
            self.stop()
            raise
        raise AssertionError("the last attempt returns or raises")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server and its workers."""
        if self._process is not None:
            self._process.stop()

    def _start(self, preferred_port: int | None) -> None:
        self._port = free_port(preferred_port)
        self._artifacts.mkdir(parents=True, exist_ok=True)
        self._process = ChildProcess(
            "MLflow",
            [
                *(*self._program, "server", "--host", "127.0.0.1", "--port", str(self._port)),
                *("--artifacts-destination", str(self._artifacts.absolute()), "--workers", "1", *self._arguments),
            ],
            log=self._log,
            env=child_environment(
                # The URI is in the environment instead of the arguments: it holds a password, and any user can list the
                # arguments of processes.
                MLFLOW_BACKEND_STORE_URI=self._backend_uri,
                MLFLOW_DISABLE_TELEMETRY="true",
                MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",  # no job runner: half of the start-up time
                # The page of a version on S3 makes the server query the cloud's metadata address for credentials.
                AWS_EC2_METADATA_DISABLED="true",
                **self._environment,
            ),
        )

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        # Wait for a port that this process listens on: the /health of another server must not count.
        wait_for_port(self.process, self._port, seconds=START_TIMEOUT_S)
        # MLflow before 3.17 serves this route without the prefix.
        routes = (f"{self.uri}/health", f"http://127.0.0.1:{self._port}/health")
        with urllib3.PoolManager(retries=False, timeout=5) as http:
            while not any(_is_ok(http, health) for health in routes):
                if not self.process.is_alive():
                    raise self.process.failure("ended while it was starting")
                if time.monotonic() > deadline:
                    raise self.process.failure(f"did not respond to {routes[0]} within {START_TIMEOUT_S:.0f} s")
                time.sleep(0.1)

    def _prefix(self) -> str:
        arguments = [part for argument in self._arguments for part in argument.split("=", 1)]
        if "--static-prefix" not in arguments:
            return ""
        return arguments[arguments.index("--static-prefix") + 1].rstrip("/")


def _is_ok(http: urllib3.PoolManager, url: str) -> bool:
    try:
        return http.request("GET", url).status == 200
    except urllib3.exceptions.HTTPError:
        return False
