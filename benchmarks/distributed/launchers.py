"""Starts Dagster with one of the compared launchers, as processes."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from benchmarks.other_load import tree_cpu_seconds
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.demo.servers.dagster_servers import DagsterServers
from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment, wait_for_port

SYSTEM_PATH = f"{os.defpath}:/usr/sbin"
"""The folders into which packages of the system install servers."""
SLOTS = 8
"""The number of concurrent runs that the queue admits, for every launcher."""


@dataclass(frozen=True, slots=True)
class Launcher:
    """One of the compared ways to start runs."""

    key: str
    """The launcher's name on the command line."""
    name: str
    workers: int = 0
    """The number of workers. 0: runs are processes of the code server."""
    module: str = "verifywise_mlflow.definitions"


LAUNCHERS = (
    Launcher("shipped", "default, as Dagster ships it", module="benchmarks.distributed.unforked"),
    Launcher("forked", "default, forked"),
    *(Launcher(f"celery-{count}", f"Celery, {count} worker{'s' * (count > 1)}", workers=count) for count in (1, 2, 4)),
)


@dataclass(frozen=True, slots=True)
class Running:
    """Dagster with a launcher."""

    dagster: DagsterServers
    instance: dg.DagsterInstance
    workers: list[ChildProcess]

    def cpu_seconds(self) -> tuple[float, float]:
        """Return the CPU time so far of Dagster, the runs and the workers, and the part of daemon and webserver."""
        code_server, *services = self.dagster.children
        of_services = sum(tree_cpu_seconds(process.pid) for process in services)
        executing = [code_server, *self.workers]
        return of_services + sum(tree_cpu_seconds(process.pid) for process in executing), of_services


@contextmanager
def running(launcher: Launcher, home: Path, environment: Mapping[str, str], tenants: list[str]) -> Iterator[Running]:
    """Run Dagster and the workers until the block ends."""
    settings = {name: str(SLOTS) for name in _LIMITS}
    with ExitStack() as stack:
        if launcher.workers:
            settings["VERIFYWISE_LAUNCHER"] = "celery"
            environment = {**environment, "VERIFYWISE_BROKER_URL": stack.enter_context(_redis(home))}
        os.environ.update(environment)
        servers = DagsterServers(
            home, environment=environment, logs=home / "logs", settings=settings, module=launcher.module
        )
        dagster = stack.enter_context(servers)
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home)))
        instance.add_dynamic_partitions(tenant_partitions.name or "", tenants)
        workers = []
        for number in range(launcher.workers):
            worker = ChildProcess(
                f"worker {number}",
                [sys.executable, "-m", "verifywise_mlflow.cli", "worker", "--processes", "1"],
                log=home / "logs" / f"worker-{number}.log",
                env=child_environment(**environment, DAGSTER_HOME=str(home)),
                cwd=home,
            )
            workers.append(stack.enter_context(worker))
        yield Running(dagster, instance, workers)


_LIMITS = (
    "VERIFYWISE_MAX_CONCURRENT_SYNCS",
    "VERIFYWISE_MAX_CONCURRENT_SYNCS_PER_SERVER",
    "VERIFYWISE_MAX_CONCURRENT_BACKFILL_SYNCS",
)


@contextmanager
def _redis(home: Path) -> Iterator[str]:
    port, password = free_port(), secrets.token_hex(16)
    folder = home.with_name(f"{home.name}-redis")
    folder.mkdir()
    config = folder / "redis.conf"
    config.write_text(f"bind 127.0.0.1\nport {port}\nrequirepass {password}\nappendonly yes\ndir {folder}\n")
    environment = {"PATH": SYSTEM_PATH}
    with ChildProcess("Redis", ["redis-server", config], log=folder / "redis.log", env=environment) as server:
        wait_for_port(server, port, seconds=30)
        yield f"redis://:{password}@127.0.0.1:{port}/0"
