"""MLflow with webhooks, the listener, Postgres and Dagster, each in processes of its own, as in production."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

import dagster as dg
import psycopg2
import urllib3
import yaml

import verifywise_mlflow
from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.defs.run_tags import TARGETED_SYNC_JOB
from verifywise_mlflow.demo.database_roles import grant_listener_role, grant_pipeline_role
from verifywise_mlflow.demo.servers.dagster_instance import instance_environment
from verifywise_mlflow.demo.servers.dagster_servers import DagsterServers
from verifywise_mlflow.demo.servers.listener_server import ListenerServer
from verifywise_mlflow.demo.servers.mlflow_api import MlflowApi
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres, temporary_postgres
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment, wait_for_port
from verifywise_mlflow.demo.webhooks import DemoWebhooks
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow_tests.support.seeding import Sizes, model_name, seed

Launcher = Literal["default", "celery"]

RULE: Final = "owner"
"""The rule whose verdict changes with the version's tag of the same name."""
_NOTHING_BY_SCHEDULE: Final = dict.fromkeys(("poll", "listing", "reconcile", "rehash", "rehash_non_production"), "70d")
"""Intervals so long that only the tenant's webhook reports a change."""
DEFAULT_SIZES: Final = Sizes(models=3, versions=30, runs=9)
_SYSTEM_PATH: Final = f"{os.defpath}:/usr/sbin"


@dataclass(frozen=True, slots=True)
class ChangeTimes:
    """When a change reached each service, in seconds since 1970."""

    committed_at: float
    """MLflow has confirmed the change."""
    received_at: float
    """The listener has written the hint."""
    queued_at: float
    """The sync is in the queue."""
    launched_at: float
    """The sync left the queue."""
    judged_at: float
    """The verdict is in the store."""

    @property
    def delay(self) -> float:
        """Seconds from MLflow's commit to the verdict's row."""
        return self.judged_at - self.committed_at


@dataclass(slots=True)
class WebhookInstallation:
    """The running servers."""

    postgres: EmbeddedPostgres
    mlflow: MlflowServer
    listener: ListenerServer
    dagster: DagsterServers
    instance: dg.DagsterInstance
    tenants: Sequence[str]
    workers: list[ChildProcess] = field(default_factory=list)

    def api(self, tenant: str) -> MlflowApi:
        """Return a client of the tenant's workspace."""
        return MlflowApi(self.mlflow.uri, tenant)

    def change(self, tenant: str, number: int, timeout_seconds: float = 60) -> ChangeTimes:
        """Set or remove the owner of a version, and wait until the verdict changes.

        Raises:
            TimeoutError: the verdict did not change in time.
        """
        model = model_name(0)
        with closing(psycopg2.connect(self.postgres.url("verifywise_mlflow"))) as connection:
            connection.autocommit = True
            before = _verdict(connection, tenant, model, number)
            api = self.api(tenant)
            if RULE in api.version_tags(model, number):
                api.delete_version_tag(model, number, RULE)
            else:
                api.set_version_tag(model, number, RULE, "risk-team@example.com")
            committed_at = time.time()
            deadline = time.monotonic() + timeout_seconds
            while _verdict(connection, tenant, model, number) == before:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"version {number} of {tenant} was not judged again in {timeout_seconds:.0f} s")
                time.sleep(0.02)
            judged_at = time.time()
            received_at = _last_event_at(connection, tenant)
        queued_at, launched_at = self._times_of_last_sync(tenant)
        return ChangeTimes(committed_at, received_at.timestamp(), queued_at, launched_at, judged_at)

    def targeted_syncs(self, tenant: str) -> list[dg.RunRecord]:
        """Return the tenant's targeted syncs, newest first."""
        runs = dg.RunsFilter(job_name=TARGETED_SYNC_JOB, tags={"dagster/partition": tenant})
        return list(self.instance.get_run_records(runs))

    def await_idle(self, tenant: str, timeout_seconds: float = 120) -> None:
        """Wait until the tenant has no hint, and no run that has not ended.

        Raises:
            TimeoutError: the runs took too long.
        """
        deadline = time.monotonic() + timeout_seconds
        with closing(psycopg2.connect(self.postgres.url("verifywise_mlflow"))) as connection:
            connection.autocommit = True
            while _hints(connection, tenant) or any(not run.dagster_run.is_finished for run in self._runs(tenant)):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{tenant} has hints or runs after {timeout_seconds:.0f} s")
                time.sleep(0.1)

    def _runs(self, tenant: str) -> Sequence[dg.RunRecord]:
        return self.instance.get_run_records(dg.RunsFilter(tags={"dagster/partition": tenant}), limit=20)

    def _times_of_last_sync(self, tenant: str) -> tuple[float, float]:
        """Return when the newest sync that has started was queued, and when it left the queue."""
        for record in self.targeted_syncs(tenant):
            times = {
                entry.dagster_event_type: entry.timestamp
                for entry in self.instance.all_logs(record.dagster_run.run_id)
                if entry.dagster_event_type is not None
            }
            if launched_at := times.get(dg.DagsterEventType.RUN_STARTING):
                return times[dg.DagsterEventType.RUN_ENQUEUED], launched_at
        raise LookupError(f"no targeted sync of {tenant} has started")


@contextmanager
def webhook_installation(
    home: Path,
    *,
    launcher: Launcher,
    tenants: int = 1,
    polled: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    sizes: Sizes = DEFAULT_SIZES,
    prepare: Callable[[str], None] = lambda _: None,
) -> Iterator[WebhookInstallation]:
    """Start the servers and sync all tenants; stop everything when the block ends.

    The environment of this process names the database and tenants.yaml from then on.

    Args:
        home: a folder for the files of the servers.
        launcher: how runs start.
        tenants: how many tenants have webhooks, and are not polled.
        polled: the names of tenants without webhooks, each with its ``intervals``.
        sizes: the numbers of objects in the registry of each tenant.
        prepare: takes the address of MLflow before the first syncs.
    """
    with_webhooks = [f"tenant-{number:02}" for number in range(tenants)]
    names = [*with_webhooks, *polled]
    with ExitStack() as stack:
        postgres = stack.enter_context(temporary_postgres(databases=("verifywise_mlflow", "dagster")))
        webhooks = DemoWebhooks(home / "webhooks", with_webhooks)
        mlflow = stack.enter_context(_mlflow(home, webhooks, names, sizes))
        prepare(mlflow.uri)
        login = grant_pipeline_role(postgres)
        file = home / "tenants.yaml"
        changing = {
            name: {"webhooks": webhooks.settings(name), "intervals": _NOTHING_BY_SCHEDULE} for name in with_webhooks
        } | {name: {"intervals": dict(intervals)} for name, intervals in polled.items()}
        entries = {
            name: {
                "tracking_uri": mlflow.uri,
                "allow_private_network": True,
                "workspace": name,
                "artifacts": {"sandbox": "best_effort"},
                **settings,
            }
            for name, settings in changing.items()
        }
        file.write_text(yaml.safe_dump({"tenants": entries}))
        environment = instance_environment(postgres, login, file) | {
            "PYTHONPATH": str(Path(verifywise_mlflow.__file__).parents[1])
        }
        variables: dict[str, str] = {}
        if launcher == "celery":
            variables["VERIFYWISE_LAUNCHER"] = "celery"
            environment["VERIFYWISE_BROKER_URL"] = stack.enter_context(_redis(home))
        listener_url = postgres.url("verifywise_mlflow", grant_listener_role(postgres))
        listener = ListenerServer(
            environment=environment | {"VERIFYWISE_DATABASE_URL": listener_url}, log=home / "listener.log"
        )
        stack.enter_context(listener)
        os.environ.update(environment)
        with Store(database_url()) as store:
            for tenant in load_tenants().values():
                with Sync(tenant, store) as sync:
                    sync.run_all()
        dagster = DagsterServers(home / "dagster", environment=environment, logs=home / "logs", settings=variables)
        stack.enter_context(dagster)
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home / "dagster")))
        instance.add_dynamic_partitions(tenant_partitions.name or "", names)
        installation = WebhookInstallation(postgres, mlflow, listener, dagster, instance, names)
        if launcher == "celery":
            installation.workers.append(stack.enter_context(_worker(home, environment)))
        listener.wait_until_ready()
        webhooks.register(mlflow.uri, listener.uri)
        yield installation


@contextmanager
def _mlflow(home: Path, webhooks: DemoWebhooks, names: Sequence[str], sizes: Sizes) -> Iterator[MlflowServer]:
    database = home / "mlflow.db"
    with MlflowServer(
        backend_uri=f"sqlite:///{database}",
        artifacts=home / "artifacts",
        log=home / "mlflow.log",
        arguments=["--enable-workspaces"],
        environment=webhooks.mlflow_environment(),
    ) as server:
        for name in names:
            url = f"{server.uri}/api/3.0/mlflow/workspaces"
            response = urllib3.request("POST", url, json={"name": name}, timeout=120)
            assert response.status < 300, response.data
            seed(database, name, sizes)
        yield server


@contextmanager
def _redis(home: Path) -> Iterator[str]:
    port, password = free_port(), secrets.token_hex(16)
    folder = home / "redis"
    folder.mkdir()
    config = folder / "redis.conf"
    config.write_text(f"bind 127.0.0.1\nport {port}\nrequirepass {password}\nappendonly yes\ndir {folder}\n")
    command: list[str | Path] = ["redis-server", config]
    with ChildProcess("Redis", command, log=folder / "redis.log", env={"PATH": _SYSTEM_PATH}) as server:
        wait_for_port(server, port, seconds=30)
        yield f"redis://:{password}@127.0.0.1:{port}/0"


def _worker(home: Path, environment: Mapping[str, str]) -> ChildProcess:
    return ChildProcess(
        "worker",
        [sys.executable, "-m", "verifywise_mlflow.cli", "worker", "--processes", "2"],
        log=home / "logs" / "worker.log",
        env=child_environment(**environment, DAGSTER_HOME=str(home / "dagster")),
        cwd=home,
    )


def _verdict(connection: psycopg2.extensions.connection, tenant: str, model: str, number: int) -> object:
    query = (
        "SELECT verdict, reason FROM verifywise_mlflow.compliance_results "
        "WHERE tenant_id = %s AND model_name = %s AND version_number = %s AND rule_id = %s"
    )
    return _row(connection, query, (tenant, model, number, RULE))


def _last_event_at(connection: psycopg2.extensions.connection, tenant: str) -> datetime:
    query = "SELECT last_event_at FROM verifywise_mlflow.webhook_status WHERE tenant_id = %s"
    row = _row(connection, query, (tenant,))
    assert row is not None
    assert isinstance(row[0], datetime)
    return row[0]


def _hints(connection: psycopg2.extensions.connection, tenant: str) -> bool:
    query = "SELECT 1 FROM verifywise_mlflow.change_hints WHERE tenant_id = %s LIMIT 1"
    return _row(connection, query, (tenant,)) is not None


def _row(
    connection: psycopg2.extensions.connection, query: str, parameters: tuple[object, ...]
) -> tuple[object, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        row: tuple[object, ...] | None = cursor.fetchone()
    return row
