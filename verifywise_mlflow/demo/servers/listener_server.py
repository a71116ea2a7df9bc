"""The listener for MLflow's webhooks on a free port of 127.0.0.1, for the duration of a block."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment, wait_for_port

START_TIMEOUT_S: Final = 60.0


class ListenerServer:
    """``verifywise-mlflow listen``. Entering the block starts the listener and does not wait until it is ready."""

    def __init__(self, *, environment: Mapping[str, str], log: Path, preferred_port: int | None = None) -> None:
        """Describe the server.

        Args:
            environment: The variables with the places of tenants.yaml and the database.
            log: The listener's log file.
            preferred_port: The port to use if it is free.
        """
        self._environment = child_environment(**environment)
        self._log = log
        self._preferred_port = preferred_port
        self._process: ChildProcess | None = None
        self.port = 0

    @property
    def process(self) -> ChildProcess:
        """The server's process, once it is started."""
        assert self._process is not None
        return self._process

    @property
    def uri(self) -> str:
        """The listener's address."""
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        """Wait until the listener accepts deliveries.

        Raises:
            ProcessFailedError: the listener ended or took too long.
        """
        wait_for_port(self.process, self.port, seconds=START_TIMEOUT_S)

    def __enter__(self) -> ListenerServer:
        self.port = free_port(self._preferred_port)
        self._process = ChildProcess(
            "The listener",
            [
                *(sys.executable, "-m", "verifywise_mlflow.cli", "listen"),
                *("--host", "127.0.0.1", "--port", str(self.port)),
            ],
            log=self._log,
            env=self._environment,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()
