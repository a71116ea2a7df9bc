"""Dagster with workers behind a broker, as in production: every part is a process of its own.

Each worker reaches Postgres through a proxy of its own, which can partition the network between them.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import dagster as dg
import psutil  # type: ignore[import-untyped]  # its stubs are a separate package
import pytest
import yaml

import verifywise_mlflow
from verifywise_mlflow.defs.dagster_compat.connections import reuse_connections
from verifywise_mlflow.demo.servers.dagster_api import DagsterApi
from verifywise_mlflow.demo.servers.dagster_instance import write_instance
from verifywise_mlflow.demo.servers.dagster_servers import DagsterServers
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.distributed.brokers import BrokerServer
from verifywise_mlflow_tests.distributed.slow_server import SlowServer
from verifywise_mlflow_tests.distributed.tcp_proxy import TcpProxy, tcp_proxy
from verifywise_mlflow_tests.support.databases import create_migrated_database

PARTITION, PARENT = "dagster/partition", "dagster/parent_run_id"
_SETTINGS: Mapping[str, str] = {"VERIFYWISE_LAUNCHER": "celery", "VERIFYWISE_RUN_POLL_INTERVAL_SECONDS": "1"}

Value = TypeVar("Value")


@dataclass(slots=True)
class Installation:
    """The running servers."""

    home: Path
    broker: BrokerServer
    dagster: DagsterServers | None
    """The code server, the webserver and the daemon; None if the test launches and monitors runs itself."""
    instance: dg.DagsterInstance
    postgres_port: int
    stack: ExitStack
    """Stops the networks."""
    environment: Mapping[str, str]
    database_url: str
    dagster_url: str
    tenants_file: Path
    workers: list[ChildProcess] = field(default_factory=list)
    networks: dict[int, TcpProxy] = field(default_factory=dict)
    """The process of a worker to the proxy between it and Postgres."""

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def start_worker(self) -> ChildProcess:
        """Start a worker with one process, as an operator does."""
        network = self.stack.enter_context(tcp_proxy(self.postgres_port))
        through_proxy = {
            "DAGSTER_HOME": str(self.home / "dagster"),
            "DAGSTER_PG_PORT": str(network.port),
            "VERIFYWISE_DATABASE_URL": self.environment["VERIFYWISE_DATABASE_URL"].replace(
                f":{self.postgres_port}/", f":{network.port}/"
            ),
        }
        name = f"worker-{len(self.workers)}"
        worker = ChildProcess(
            name,
            [sys.executable, "-m", "verifywise_mlflow.cli", "worker", "--processes", "1"],
            log=self.logs / f"{name}.log",
            env=child_environment(**{**self.environment, **through_proxy}),
            cwd=self.home,
        )
        self.workers.append(worker)
        self.networks[worker.pid] = network
        return worker

    def run_workers(self, count: int) -> None:
        """Start workers until there are ``count``. Each takes seconds to import everything."""
        for _ in range(count - sum(worker.is_alive() for worker in self.workers)):
            self.start_worker()

    def kill_workers(self) -> None:
        """Kill every worker with the processes of its runs, as if the machine had failed."""
        for worker in self.workers:
            if worker.is_alive():
                os.killpg(worker.pid, signal.SIGKILL)
                worker.stop()

    def add_tenant(self, tenant: str, settings: Mapping[str, object]) -> None:
        """Add a tenant, which is synced only on request, unless the schedule ticks before its first sync."""
        document = yaml.safe_load(self.tenants_file.read_text())
        intervals = dict.fromkeys(("poll", "listing", "reconcile"), "7d")
        document["tenants"][tenant] = {**settings, "intervals": intervals}
        self.tenants_file.write_text(yaml.safe_dump(document))
        self.instance.add_dynamic_partitions("tenants", [tenant])

    @property
    def api(self) -> DagsterApi:
        """The webserver's API."""
        assert self.dagster is not None
        return self.dagster.api

    def launch_job(self, job: dg.JobDefinition) -> str:
        """Send a run of a test's job to the workers, without the run queue; return its ID."""
        origin = dg.reconstructable(job).get_python_origin()
        run = self.instance.create_run_for_job(job, job_code_origin=origin)
        self.instance.launch_run(run.run_id, workspace=None)  # type: ignore[arg-type]  # no launcher of ours reads it
        return run.run_id

    def launch(self, tenant: str) -> str:
        """Request a sync, as a person does; return the run's ID."""
        earlier = {run.run_id for run in self.runs(tenant)}
        self.api.launch(tenant)
        return next(run.run_id for run in self.runs(tenant) if run.run_id not in earlier)

    def runs(self, tenant: str) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs(dg.RunsFilter(tags={PARTITION: tenant})))

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def await_hold(self, run_id: str, server: SlowServer) -> None:
        """Wait until a server holds the sync of a run. A sensor's poll of a new tenant may reach the server first."""
        wait_for(lambda: "sync started" in self.sync_entries(run_id), 180, f"the sync of {run_id}: {self.log_tails()}")
        assert server.is_reached.wait(180), self.log_tails()

    def await_end(self, run_id: str, seconds: float = 180) -> dg.DagsterRunStatus:
        """Wait until a run has ended; return its status."""
        wait_for(lambda: self.status(run_id) in ENDED, seconds, f"the end of run {run_id}: {self.log_tails()}")
        return self.status(run_id)

    def await_retry(self, run_id: str) -> str:
        """Wait for the run that retries another run."""

        def retries() -> list[str]:
            return [run.run_id for run in self.instance.get_runs(dg.RunsFilter(tags={PARENT: run_id}))]

        (retry,) = wait_for(retries, 120, f"a retry of run {run_id}")
        return retry

    def await_sync_end(self, run_id: str) -> list[str]:
        """Wait for the entry of a sync's end, which follows the run's end; return the kinds of the sync's entries."""
        wait_for(lambda: "sync ended" in self.sync_entries(run_id), 120, f"the end of the sync of run {run_id}")
        return self.sync_entries(run_id)

    def sync_entries(self, run_id: str) -> list[str]:
        """Return the kinds of the entries that a run's sync has written into the audit trail."""
        with Store(self.database_url) as store, store.begin_shared() as connection:
            entries = connection.exec_driver_sql(
                "SELECT kind FROM verifywise_mlflow.audit_entries WHERE dagster_run_id = %s ORDER BY sequence",
                (run_id,),
            )
            return [kind for (kind,) in entries if kind.startswith("sync")]

    def run_processes(self) -> dict[int, set[int]]:
        """Return the processes that each living worker has forked: for its pool, and for a run."""
        living = [psutil.Process(worker.pid) for worker in self.workers if worker.is_alive()]
        return {process.pid: {child.pid for child in process.children(recursive=True)} for process in living}

    def log_tails(self) -> str:
        return "\n".join(worker.log_tail() for worker in self.workers)


ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@contextmanager
def installation(
    postgres: EmbeddedPostgres, broker: BrokerServer, home: Path, *, with_dagster: bool = True
) -> Iterator[Installation]:
    """Start a broker and Dagster; workers are started by the tests."""
    dagster_database = f"dagster_{home.name}"
    dagster_url = postgres.create_database(dagster_database)
    login = postgres.create_login(f"role_{home.name}", owns=dagster_database)
    database_url = create_migrated_database(postgres, "distributed")
    database = database_url.rsplit("/", 1)[1]
    with Store(database_url) as store, store.begin_shared() as connection:
        role_grants.grant(connection, login.role, "pipeline", None, datetime.now(UTC))
    tenants_file = home / "tenants.yaml"
    tenants_file.write_text("tenants: {}\n")
    with ExitStack() as stack:
        variables = stack.enter_context(pytest.MonkeyPatch.context())
        stack.enter_context(broker)
        environment = {
            "VERIFYWISE_TENANTS": str(tenants_file),
            "VERIFYWISE_DATABASE_URL": postgres.url(database, login),
            "VERIFYWISE_BROKER_URL": broker.url,
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(postgres.port),
            "DAGSTER_PG_USERNAME": login.role,
            "DAGSTER_PG_PASSWORD": login.password,
            "DAGSTER_PG_DB": dagster_database,
            "PYTHONPATH": str(Path(verifywise_mlflow.__file__).parents[1]),  # the code under test
        }
        dagster = None
        if with_dagster:
            dagster = stack.enter_context(
                DagsterServers(home / "dagster", environment=environment, logs=home / "logs", settings=_SETTINGS)
            )
        else:
            (home / "dagster").mkdir()
            write_instance(home / "dagster", _SETTINGS)
        for name, value in environment.items():
            variables.setenv(name, value)
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home / "dagster")))
        reuse_connections(instance)  # the tests query it several times a second
        installed = Installation(
            home, broker, dagster, instance, postgres.port, stack, environment, database_url, dagster_url, tenants_file
        )
        try:
            yield installed
        finally:
            for worker in installed.workers:
                worker.stop()


def wait_for(condition: Callable[[], Value], seconds: float, what: str) -> Value:
    """Return the first true value of a condition."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.2)
    return value
