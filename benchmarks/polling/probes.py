"""Measures the cost of a poll: its requests, and the CPU time of the MLflow server and of this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import urllib3

from benchmarks.other_load import tree_cpu_seconds
from benchmarks.polling.changes import Workspace
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.services.change_polls import fetch_fingerprints, fetch_newest_updates
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.proxy import proxy_before
from verifywise_mlflow_tests.support.seeding import Sizes, seed

_SMALL, _LARGE, _HUGE = 200, 20_000, 100_000
_PROMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one poll."""

    poll: str
    registry: str
    requests: int
    server_cpu_ms: float
    our_cpu_ms: float


def measure(folder: Path) -> Sequence[Cost]:
    """Poll registries of several sizes on a real server."""
    database = folder / "mlflow.db"
    with MlflowServer(
        backend_uri=f"sqlite:///{database}",
        artifacts=folder / "artifacts",
        log=folder / "mlflow.log",
        arguments=["--enable-workspaces"],
    ) as server:
        return list(_costs(server, database))


def _costs(server: MlflowServer, database: Path) -> Iterator[Cost]:
    def cost(poll: str, tenant: Tenant, registry: str, send: Callable[[Tenant], object], times: int) -> Cost:
        with proxy_before(tenant.tracking_uri) as proxy:
            send(tenant.model_copy(update={"tracking_uri": proxy.uri}))
            requests = proxy.requests
        of_server, ours = tree_cpu_seconds(server.process.pid), time.process_time()
        for _ in range(times):
            send(tenant)
        of_server, ours = tree_cpu_seconds(server.process.pid) - of_server, time.process_time() - ours
        return Cost(poll, registry, requests, 1e3 * of_server / times, 1e3 * ours / times)

    def newest_version(tenant: Tenant) -> object:
        return fetch_newest_updates(tenant, with_prompts=False)

    def newest_version_and_prompt(tenant: Tenant) -> object:
        return fetch_newest_updates(tenant, with_prompts=True)

    for versions in (_SMALL, _LARGE, _HUGE):
        name = f"versions-{versions}"
        url = f"{server.uri}/api/3.0/mlflow/workspaces"
        assert urllib3.request("POST", url, json={"name": name}, timeout=60).status < 300
        seed(database, name, Sizes(models=versions // 10, versions=versions))
        tenant = Tenant(tenant_id=name, tracking_uri=server.uri, workspace=name, allow_private_network=True)
        registry = f"{versions:,} versions"
        yield cost("newest version", tenant, registry, newest_version, 20)
        if versions < _HUGE:
            yield cost("listings", tenant, registry, fetch_fingerprints, 2_000 // versions or 1)
        workspace = Workspace(server.uri, name)
        for number in range(_PROMPTS):
            workspace.register_prompt(f"prompt-{number}")
        registry += f", {_PROMPTS} prompts"
        yield cost("newest version and prompt", tenant, registry, newest_version_and_prompt, 20)
        if versions < _HUGE:
            yield cost("listings", tenant, registry, fetch_fingerprints, 2_000 // versions or 1)
