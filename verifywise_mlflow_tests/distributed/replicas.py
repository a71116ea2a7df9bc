"""Several replicas of each service, started by the image's entry point. Each has its own files, as in a container."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import urllib3

from verifywise_mlflow.demo.errors import DagsterApiError
from verifywise_mlflow.demo.servers.dagster_api import JOB, LOCATION, DagsterApi
from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment, wait_for_port
from verifywise_mlflow_tests.distributed.balancer import balancer
from verifywise_mlflow_tests.distributed.installation import Installation, wait_for

START_SECONDS = 120.0
_BACKFILL = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}
"""


@dataclass(slots=True)
class Webserver:
    """One of the webservers."""

    process: ChildProcess
    uri: str

    @property
    def api(self) -> DagsterApi:
        """The webserver's API."""
        return DagsterApi(self.uri)

    def has_loaded(self) -> bool:
        """Return whether it has our definitions."""
        try:
            return self.api.location_error() is None
        except DagsterApiError:
            return False


@dataclass(slots=True)
class Replicas:
    """The services of an installation. Workers and daemons are started by the tests."""

    installed: Installation
    stack: ExitStack
    """Stops the processes."""
    code_server_port: int = 4000
    """The port of the balancer in front of the code servers."""
    code_servers: list[ChildProcess] = field(default_factory=list)
    webservers: list[Webserver] = field(default_factory=list)
    daemons: list[ChildProcess] = field(default_factory=list)
    homes: list[Path] = field(default_factory=list)

    def start(self, service: str, *options: str) -> ChildProcess:
        """Start a service with a DAGSTER_HOME of its own, into which the entry point writes its files."""
        home = self.installed.home / f"{service}-{len(self.homes)}"
        self.homes.append(home)
        return self._spawn(home.name, "verifywise_mlflow.container", [service, *options], home)

    def start_on_a_port(self, service: str) -> tuple[ChildProcess, int]:
        """Start a service that listens on 127.0.0.1."""
        port = free_port()
        return self.start(service, "--host", "127.0.0.1", "--port", str(port)), port

    def start_daemons(self, count: int) -> list[ChildProcess]:
        """Start daemons until `count` of them live; return them in the order of their starts."""
        self.daemons = [daemon for daemon in self.daemons if daemon.is_alive()]
        while len(self.daemons) < count:
            self.daemons.append(self.start("daemon"))
            wait_for(lambda: "daemon works" in self.daemons[-1].log.read_text(), START_SECONDS, "this or another one")
        return self.daemons

    def start_worker(self) -> ChildProcess:
        """Start a worker with one process."""
        self.installed.workers.append(self.start("worker", "--processes", "1"))
        return self.installed.workers[-1]

    def start_next_worker(self, migrations: Path) -> ChildProcess:
        """Start a worker of a later release, which has these migrations."""
        arguments = [str(migrations), "1"]
        module = "verifywise_mlflow_tests.distributed.next_release"
        self.installed.workers.append(self._spawn("next-worker", module, arguments, self.installed.home / "dagster"))
        return self.installed.workers[-1]

    def _spawn(self, name: str, module: str, arguments: Sequence[str], home: Path) -> ChildProcess:
        temporary = self.installed.home / "tmp" / name
        temporary.mkdir(parents=True)
        environment = {
            **self.installed.environment,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DAGSTER_HOME": str(home),
            "TMPDIR": str(temporary),
            "VERIFYWISE_LAUNCHER": "celery",
            "VERIFYWISE_RUN_POLL_INTERVAL_SECONDS": "1",
            "VERIFYWISE_RUN_START_TIMEOUT_SECONDS": "600",  # a lost launch must be reported as lost, and not be retried
            "VERIFYWISE_CODE_SERVER": f"127.0.0.1:{self.code_server_port}",
        }
        command = [sys.executable, "-m", module, *arguments]
        log = self.installed.logs / f"{name}.log"
        child = ChildProcess(name, command, log=log, env=child_environment(**environment), cwd=self.installed.home)
        self.stack.callback(child.stop)
        return child

    def start_backfill(self, tenants: Sequence[str]) -> str:
        """Request a backfill, as a person does; return its ID."""
        params = {
            "selector": {
                "partitionSetName": f"{JOB}_partition_set",
                "repositorySelector": {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"},
            },
            "partitionNames": list(tenants),
            "fromFailure": False,
        }
        body = {"query": _BACKFILL, "variables": {"params": params}}
        response = urllib3.request("POST", f"{self.webservers[0].uri}/graphql", json=body, timeout=60).json()
        return str(response["data"]["launchPartitionBackfill"]["backfillId"])


@contextmanager
def replicas(installed: Installation) -> Iterator[Replicas]:
    """Start two code servers behind a balancer, and two webservers."""
    with ExitStack() as stack:
        running = Replicas(installed, stack)
        code_servers = [running.start_on_a_port("code-server") for _ in range(2)]
        running.code_servers = [process for process, _ in code_servers]
        for process, port in code_servers:
            wait_for_port(process, port, seconds=START_SECONDS)
        running.code_server_port = stack.enter_context(balancer([port for _, port in code_servers]))
        for process, port in [running.start_on_a_port("webserver") for _ in range(2)]:
            running.webservers.append(Webserver(process, f"http://127.0.0.1:{port}"))
            wait_for_port(process, port, seconds=START_SECONDS)
        for webserver in running.webservers:
            wait_for(webserver.has_loaded, START_SECONDS, f"the definitions: {webserver.process.log_tail()}")
        yield running
