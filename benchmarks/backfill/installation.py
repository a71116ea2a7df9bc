"""The servers: MLflow servers with many tenants each, Postgres, and Dagster as in production."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import dagster as dg
import psycopg2
import urllib3
import yaml

from verifywise_mlflow.defs.partitions import tenant_partitions
from verifywise_mlflow.demo.database_roles import grant_pipeline_role
from verifywise_mlflow.demo.servers.dagster_instance import instance_environment, write_instance
from verifywise_mlflow.demo.servers.dagster_servers import DagsterServers
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.instance_settings import INTEGER_SETTINGS
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.tenants.loading import load_tenants
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.seeding import Sizes, model_name, seed

REPOSITORY = Path(__file__).parents[2]
SERVERS = 4
"""The number of MLflow servers. With the default of two concurrent syncs per server, they suffice for all slots of the
queue."""
TENANT_SIZES = Sizes(models=3, versions=9, runs=9)

ReportProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Installation:
    """The running servers."""

    servers: Mapping[str, MlflowServer]
    """Server by tenant."""
    dagster: DagsterServers
    instance: dg.DagsterInstance
    database: str
    """The URL of the store for its owner. The owner can read the rows of all tenants."""

    def register_version(self, tenant: str) -> int:
        """Act as a user, through MLflow's API; return the number of the new version."""
        url = f"{self.servers[tenant].uri}/api/2.0/mlflow/model-versions/create"
        body = {"name": model_name(0), "source": "s3://bucket/new"}
        response = urllib3.request("POST", url, json=body, headers={"X-MLFLOW-WORKSPACE": tenant}, timeout=120)
        assert response.status == 200, response.data
        return int(response.json()["model_version"]["version"])

    def judged_at(self, tenant: str, version: int) -> float | None:
        """Return the time at which the store had a badge for this version, in seconds since 1970, or None."""
        query = (
            "SELECT extract(epoch FROM evaluated_at)::float8 FROM verifywise_mlflow.compliance_badges "
            "WHERE tenant_id = %s AND model_name = %s AND version_number = %s"
        )
        with closing(psycopg2.connect(self.database)) as connection, connection.cursor() as cursor:
            cursor.execute(query, (tenant, model_name(0), version))
            row = cursor.fetchone()
        return row[0] if row else None


@contextmanager
def installation(tenants: int, home: Path, report_progress: ReportProgress) -> Iterator[Installation]:
    """Start Postgres and the MLflow servers and sync all tenants; stop everything when the block ends."""
    with ExitStack() as stack:
        report_progress(f"starting Postgres and {SERVERS} MLflow servers")
        postgres = stack.enter_context(temporary_postgres(databases=("verifywise_mlflow", "dagster")))
        servers = mlflow_servers(tenants, home, stack)
        file = home / "tenants.yaml"
        file.write_text(
            yaml.safe_dump({"tenants": {name: tenant_settings(name, server) for name, server in servers.items()}})
        )
        environment = instance_environment(postgres, grant_pipeline_role(postgres), file) | {
            "PYTHONPATH": str(REPOSITORY)
        }
        os.environ.update(environment)
        report_progress(f"the first sync of {tenants} tenants, without Dagster")
        with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
            list(processes.map(first_sync, sorted(servers), chunksize=5))
        report_progress("starting Dagster")
        settings = {name: os.environ[name] for name in INTEGER_SETTINGS if name in os.environ}
        (home / "dagster").mkdir()
        write_instance(home / "dagster", settings)
        instance = stack.enter_context(dg.DagsterInstance.from_config(str(home / "dagster")))
        # Otherwise, a sensor would request the first sync of each tenant.
        instance.add_dynamic_partitions(tenant_partitions.name or "", sorted(servers))
        dagster = DagsterServers(home / "dagster", environment=environment, logs=home / "logs", settings=settings)
        yield Installation(servers, stack.enter_context(dagster), instance, postgres.url("verifywise_mlflow"))


def mlflow_servers(tenants: int, home: Path, stack: ExitStack) -> dict[str, MlflowServer]:
    """Start the MLflow servers and fill a workspace for each tenant; return each tenant's server."""
    server_processes = []
    for number in range(SERVERS):
        database = home / f"mlflow-{number}.db"
        server = MlflowServer(
            backend_uri=f"sqlite:///{database}",
            artifacts=home / f"artifacts-{number}",
            log=home / f"mlflow-{number}.log",
            arguments=["--enable-workspaces"],
        )
        server_processes.append((stack.enter_context(server), database))
    servers_by_tenant = {}
    for number in range(tenants):
        server, database = server_processes[number % SERVERS]
        tenant = f"tenant-{number:03}"
        url = f"{server.uri}/api/3.0/mlflow/workspaces"
        response = urllib3.request("POST", url, json={"name": tenant}, timeout=120)
        assert response.status < 300, response.data
        seed(database, tenant, TENANT_SIZES)
        servers_by_tenant[tenant] = server
    return servers_by_tenant


def tenant_settings(tenant: str, server: MlflowServer) -> Mapping[str, object]:
    """Return a tenant's entry in tenants.yaml."""
    return {"tracking_uri": server.uri, "allow_private_network": True, "workspace": tenant}


@cache
def _tenants() -> Mapping[str, Tenant]:
    """Read the tenants once per process: parsing 500 tenants takes a second."""
    return load_tenants()


def first_sync(tenant: str) -> None:
    """Sync a tenant in this process."""
    with Store(database_url()) as store, Sync(_tenants()[tenant], store, SyncOptions()) as run:
        run.run_all()
