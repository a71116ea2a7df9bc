"""Dagster in three processes: the code server (which also runs the syncs), the webserver and the daemon.

``dagster dev`` starts five processes, takes twice as long (7 to 10 s instead of 5 on two cores), and does not report
which of them died.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import yaml

from verifywise_mlflow.demo.errors import DagsterApiError, DemoError
from verifywise_mlflow.demo.servers.dagster_api import ENDED, JOB, LOCATION, TARGETED_JOB, DagsterApi
from verifywise_mlflow.demo.servers.dagster_instance import DEMO_SETTINGS, write_instance
from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment, wait_for_port

START_TIMEOUT_S = 120.0


class DagsterServers:
    """Dagster with our code location, for the duration of the block."""

    def __init__(
        self,
        home: Path,
        *,
        environment: Mapping[str, str],
        logs: Path,
        settings: Mapping[str, str] = DEMO_SETTINGS,
        preferred_port: int | None = None,
        module: str = "verifywise_mlflow.definitions",
    ) -> None:
        """Describe the servers.

        Args:
            home: The folder for DAGSTER_HOME.
            environment: The variables that our definitions and our dagster.yaml read.
            logs: The folder for the logs.
            settings: The variables that dagster.yaml is generated from.
            preferred_port: The webserver's port, if it is free.
            module: The module with the definitions.
        """
        self._home = home.absolute()
        self._environment = child_environment(
            **environment, DAGSTER_HOME=str(self._home), DAGSTER_DISABLE_TELEMETRY="true"
        )
        self._logs = logs
        self._settings = dict(settings)
        self._preferred_port = preferred_port
        self._module = module
        self._stack = ExitStack()
        self.children: list[ChildProcess] = []
        self.port = 0

    @property
    def uri(self) -> str:
        """The webserver's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> DagsterApi:
        """The GraphQL API of the webserver."""
        return DagsterApi(self.uri)

    def __enter__(self) -> DagsterServers:
        with ExitStack() as stack:
            self._stack = stack
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        write_instance(self._home, self._settings)
        # The processes start one after another: a process that starts before the code server listens retries only after
        # half a minute.
        code_port = free_port()
        code_server = self._child(
            "Dagster's code server",
            *("dagster", "api", "grpc", "--module-name", self._module),
            *("--host", "127.0.0.1", "--port", str(code_port), "--location-name", LOCATION),
        )
        wait_for_port(code_server, code_port, seconds=START_TIMEOUT_S)
        workspace = self._home / "workspace.yaml"
        server = {"host": "127.0.0.1", "port": code_port, "location_name": LOCATION}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))

        self.port = free_port(self._preferred_port)
        webserver = self._child(
            "Dagster's webserver",
            *("dagster_webserver", "--workspace", str(workspace), "--host", "127.0.0.1", "--port", str(self.port)),
        )
        wait_for_port(webserver, self.port, seconds=START_TIMEOUT_S)
        self._wait_until_loaded(code_server)
        self._cancel_runs_without_process()
        self._child("Dagster's daemon", "verifywise_mlflow.distributed.daemon", "--workspace", str(workspace))

    def _child(self, name: str, module: str, *arguments: str) -> ChildProcess:
        child = ChildProcess(
            name,
            [sys.executable, "-m", module, *arguments],
            log=self._logs / f"{name.lower().replace(' ', '-').replace(chr(39), '')}.log",
            env=self._environment,
            cwd=self._home,
        )
        self.children.append(self._stack.enter_context(child))
        return child

    def _wait_until_loaded(self, code_server: ChildProcess) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                load_error = self.api.location_error()
            except DagsterApiError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                break
        if load_error is not None:
            raise DemoError(f"Dagster cannot load our definitions: {load_error}\n{code_server.log_tail()}")

    def _cancel_runs_without_process(self) -> None:
        """Cancel syncs of an earlier, stopped demo: Dagster counts them as in flight, and they block their tenants."""
        runs = [run for job in (JOB, TARGETED_JOB) for run in self.api.sync_runs(job)]
        orphans = [run.run_id for run in runs if run.status not in ENDED and run.status != "QUEUED"]
        if orphans:
            self.api.mark_canceled(orphans)
