"""Measures the load of a sync on Dagster's services, on a worker and on Postgres, with real runs of small tenants.

The tenants are added to an installation that is already running. A sensor requests their first syncs, which measures
the daemon's submissions. Later syncs without changes are requested through the webserver. Before each phase, the load
of the idle services is measured, and it is subtracted from the figures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, stdev
from unittest import mock

import dagster as dg
import urllib3
import yaml
from sqlalchemy import Connection, Engine, create_engine, text

from benchmarks.capacity.service_times import MEASURED
from benchmarks.other_load import tree_cpu_seconds
from benchmarks.task import REPOSITORY
from verifywise_mlflow.demo.database_roles import grant_pipeline_role
from verifywise_mlflow.demo.servers.dagster_instance import instance_environment
from verifywise_mlflow.demo.servers.dagster_servers import DagsterServers
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, temporary_postgres
from verifywise_mlflow_tests.support.seeding import Sizes, seed

SLOTS = 2
"""The number of concurrent runs. The machine on which the constants were measured has as many cores."""
IDLE_SECONDS = 30.0
_TIMEOUT_SECONDS = 900.0
_SIZES = Sizes(models=3, versions=9, runs=9)
_SETTINGS = {
    "VERIFYWISE_MAX_CONCURRENT_SYNCS": str(SLOTS),
    "VERIFYWISE_MAX_CONCURRENT_SYNCS_PER_SERVER": str(SLOTS),
    "VERIFYWISE_MAX_CONCURRENT_BACKFILL_SYNCS": "1",
}
_INTERVALS = {"poll": "7d", "listing": "7d", "reconcile": "7d"}
"""Intervals so long that only this benchmark requests a sync."""
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True, slots=True)
class _Counters:
    """The use so far: CPU seconds and bytes, and the time at which they were read."""

    at: float
    daemon: float
    executing: float
    """CPU seconds of the code server with all runs."""
    postgres: float
    wal: int
    dagster_database: int


@dataclass(frozen=True, slots=True)
class _Phase:
    """The use by a number of runs, without the use by idle services in the same time."""

    runs: int
    before: _Counters
    after: _Counters
    idle: tuple[_Counters, _Counters]
    connections: int
    """The maximum number of connections that were open at the same time."""

    def per_run(self, of: Callable[[_Counters], float]) -> float:
        """Return the use of one counter by one run."""
        first, last = self.idle
        idle_rate = (of(last) - of(first)) / (last.at - first.at)
        used = of(self.after) - of(self.before) - idle_rate * (self.after.at - self.before.at)
        return used / self.runs


@dataclass(slots=True)
class _Services:
    """The running processes."""

    dagster: DagsterServers
    instance: dg.DagsterInstance
    postgres: EmbeddedPostgres
    engine: Engine

    def counters(self) -> _Counters:
        code_server, _webserver, daemon = self.dagster.children
        with self.engine.connect() as connection:
            wal = _integer(connection, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
            size = _integer(connection, "SELECT pg_database_size('dagster')")
        return _Counters(
            time.monotonic(),
            tree_cpu_seconds(daemon.pid),
            tree_cpu_seconds(code_server.pid),
            tree_cpu_seconds(self.postgres.process.pid),
            wal,
            size,
        )

    def idle(self) -> tuple[_Counters, _Counters]:
        before = self.counters()
        time.sleep(IDLE_SECONDS)
        return before, self.counters()

    def connections(self) -> int:
        query = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        with self.engine.connect() as connection:
            return _integer(connection, query) - 1

    def phase(self, runs: int, request: Callable[[], None]) -> _Phase:
        """Request runs, and wait until they have ended."""
        idle, before = self.idle(), self.counters()
        ended_before, connections = self.instance.get_runs_count(dg.RunsFilter(statuses=_ENDED)), 0
        request()
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while self.instance.get_runs_count(dg.RunsFilter(statuses=_ENDED)) < ended_before + runs:
            assert time.monotonic() < deadline, "the runs did not end in time"
            connections = max(connections, self.connections())
            time.sleep(0.5)
        failed = self.instance.get_runs(dg.RunsFilter(statuses=_ENDED[1:]))
        assert not failed, f"{len(failed)} runs failed: {self.dagster.api.failure_message(failed[0].run_id)}"
        return _Phase(runs, before, self.counters(), idle, connections)


def measure(folder: Path, tenants: int) -> Mapping[str, float]:
    """Return milliseconds, kilobytes and counts."""
    with ExitStack() as stack:
        postgres = stack.enter_context(temporary_postgres(["verifywise_mlflow", "dagster"]))
        server = _mlflow(folder, stack)
        names = [f"tenant-{number:03}" for number in range(tenants)]
        for name in names:
            url = f"{server.uri}/api/3.0/mlflow/workspaces"
            assert urllib3.request("POST", url, json={"name": name}, timeout=60).status < 300
            seed(folder / "mlflow.db", name, _SIZES)
        file = folder / "tenants.yaml"
        file.write_text("tenants: {}\n")
        environment = instance_environment(postgres, grant_pipeline_role(postgres), file)
        environment |= {"PYTHONPATH": str(REPOSITORY)}
        stack.enter_context(mock.patch.dict(os.environ, environment))
        home = folder / "dagster"
        dagster = stack.enter_context(
            DagsterServers(home, environment=environment, logs=folder / "logs", settings=_SETTINGS)
        )
        engine = create_engine(postgres.url("dagster").replace("postgresql:", "postgresql+psycopg2:"))
        stack.callback(engine.dispose)
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        services = _Services(dagster, instance, postgres, engine)
        entry = {"tracking_uri": server.uri, "allow_private_network": True, "intervals": _INTERVALS}
        content = yaml.safe_dump({"tenants": {name: {**entry, "workspace": name} for name in names}})
        first = services.phase(tenants, lambda: _replace(file, content))
        requested = sorted(record.create_timestamp.timestamp() for record in instance.get_run_records())
        quiet_connections = services.connections()

        def launch() -> None:
            for name in names:
                dagster.api.launch(name)

        unchanged = services.phase(tenants, launch)
        records = instance.get_run_records(limit=tenants)
        launches = sorted(
            at for record in records if (at := instance.get_run_stats(record.dagster_run.run_id).launch_time)
        )
        seconds = [record.end_time - record.start_time for record in records if record.end_time and record.start_time]
    daemon = unchanged.per_run(lambda counters: counters.daemon)
    return {
        "submit": 1e3 * (requested[-1] - requested[0]) / (tenants - 1),
        "submit_cpu": 1e3 * (first.per_run(lambda counters: counters.daemon) - daemon),
        "launch": 1e3 * median(gap for one, other in pairwise(launches) if (gap := other - one) < 1.0),
        "launch_cpu": 1e3 * daemon,
        "sync": 1e3 * unchanged.per_run(lambda counters: counters.executing) - tenants * MEASURED.parse_tenant,
        "sync_wait": 1e3 * (fmean(seconds) - unchanged.per_run(lambda counters: counters.executing)),
        "sync_variation": stdev(seconds) / fmean(seconds),
        "postgres_sync": 1e3 * unchanged.per_run(lambda counters: counters.postgres),
        "wal_sync": unchanged.per_run(lambda counters: counters.wal) / 1e3,
        "run_bytes": unchanged.per_run(lambda counters: counters.dagster_database) / 1e3,
        "service_connections": float(quiet_connections),
        "connections": (unchanged.connections - quiet_connections) / SLOTS,
    }


def _mlflow(folder: Path, stack: ExitStack) -> MlflowServer:
    return stack.enter_context(
        MlflowServer(
            backend_uri=f"sqlite:///{folder / 'mlflow.db'}",
            artifacts=folder / "artifacts",
            log=folder / "mlflow.log",
            arguments=["--enable-workspaces"],
        )
    )


def _replace(file: Path, content: str) -> None:
    """Replace a file atomically, since a sensor may read it at any time."""
    new = file.with_suffix(".new")
    new.write_text(content)
    new.replace(file)


def _integer(connection: Connection, query: str) -> int:
    return int(connection.scalar(text(query)) or 0)
