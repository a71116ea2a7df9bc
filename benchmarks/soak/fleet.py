"""The MLflow servers, the proxies in front of them, and the faults of each tenant."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import urllib3
import yaml

from benchmarks.soak.size import SoakSize
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow_tests.support import mlflow_process
from verifywise_mlflow_tests.support.proxy import (
    Exchange,
    Fault,
    FaultContext,
    Proxy,
    proxy_before,
    reset_before_response,
    reset_within_response,
    saying,
    truncated,
)
from verifywise_mlflow_tests.support.seeding import Sizes, seed

MODELS, VERSIONS = 3, 9
"""The size of the initial registry of each tenant."""

SHORT_TIMEOUTS: Mapping[str, float] = {
    "connect_timeout_seconds": 1,
    "probe_timeout_seconds": 1,
    "request_timeout_seconds": 1.5,
    "retry_deadline_seconds": 2,
    "breaker_open_seconds": 1,
}
"""The limits of each tenant, with which a hanging server costs seconds of real time instead of minutes."""


def hangs(line: FaultContext) -> None:
    """Accept the request and send nothing until long after the client's timeout."""
    line.wait(5)
    line.close()


FAULTS: Mapping[str, Fault] = {
    "hangs": hangs,
    "fails": saying(500),
    "refuses": saying(403, '{"error_code": "PERMISSION_DENIED", "message": "no"}'),
    "breaks off": reset_before_response,
    "breaks off within answers": reset_within_response,
    "sends half": truncated,
}


@dataclass(slots=True)
class FleetServer:
    """A server with its tenants, its proxy, and the faults of each tenant."""

    server: MlflowServer
    database: Path
    proxy: Proxy
    tenants: Sequence[str]
    is_up: bool = True
    active_faults: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Tenant to its fault and the minute in which the fault ends."""

    def is_healthy(self, tenant: str) -> bool:
        """Whether a tenant's requests are forwarded."""
        return self.is_up and tenant not in self.active_faults

    def choose_fault(self, exchange: Exchange) -> Fault | None:
        """Choose the fault for a request by the workspace that it names."""
        if not self.is_up:
            return reset_before_response
        active_fault = self.active_faults.get(exchange.headers.get("x-mlflow-workspace", ""))
        return FAULTS[active_fault[0]] if active_fault else None

    def update_faults(self, minute: int, healthy_per_fault: int, rng: random.Random) -> list[str]:
        """Start faults of three to eight minutes for some tenants; return the faults."""
        self.active_faults = {
            tenant: active_fault for tenant, active_fault in self.active_faults.items() if active_fault[1] > minute
        }
        began = []
        for tenant in self.tenants:
            if tenant not in self.active_faults and rng.random() < 1 / healthy_per_fault:
                began.append(rng.choice(list(FAULTS)))
                self.active_faults[tenant] = (began[-1], minute + rng.randint(3, 8))
        return began

    def stop(self) -> None:
        """Stop the server's process."""
        self.is_up = False
        self.server.stop()

    def restart(self) -> None:
        """Restart the server at another port, behind the same proxy."""
        self.server.__enter__()
        self.proxy.upstream = self.server.uri
        self.is_up = True

    def call_api(self, method: str, call: str, tenant: str, body: Mapping[str, object]) -> Mapping[str, object]:
        """Act as a user, bypassing the proxy."""
        url = f"{self.server.uri}/api/2.0/mlflow/{call}"
        response = urllib3.request(method, url, json=body, headers={"X-MLFLOW-WORKSPACE": tenant}, timeout=60)
        assert response.status == 200, response.data
        body_json: Mapping[str, object] = response.json()
        return body_json


def start_fleet(home: Path, size: SoakSize, stack: ExitStack) -> list[FleetServer]:
    """Start the servers with a proxy in front of each, and create a workspace with models and versions per tenant."""
    fleet = []
    for number in range(size.servers):
        database = home / f"mlflow-{number}.db"
        server = MlflowServer(
            backend_uri=f"sqlite:///{database}",
            artifacts=home / f"artifacts-{number}",
            log=home / f"mlflow-{number}.log",
            arguments=["--enable-workspaces"],
            program=mlflow_process.PROGRAM,
        )
        stack.enter_context(server)
        proxy = stack.enter_context(proxy_before(server.uri))
        tenants = [f"tenant-{number}-{index:02}" for index in range(size.tenants_per_server)]
        fleet_server = FleetServer(server, database, proxy, tenants)
        proxy.fault = fleet_server.choose_fault
        fleet.append(fleet_server)
        for tenant in tenants:
            url = f"{server.uri}/api/3.0/mlflow/workspaces"
            response = urllib3.request("POST", url, json={"name": tenant}, timeout=60)
            assert response.status < 300, response.data
            seed(database, tenant, Sizes(models=MODELS, versions=VERSIONS, runs=VERSIONS))
    return fleet


def write_tenants(path: Path, fleet: Sequence[FleetServer], limits: Mapping[str, float]) -> None:
    """Write all tenants to one tenants.yaml. Each sync reads the file again."""
    tenant_settings = {
        tenant: {
            "tracking_uri": server.proxy.uri,
            "allow_private_network": True,
            "workspace": tenant,
            "artifacts": {"manifests": False},
            "limits": dict(limits),
        }
        for server in fleet
        for tenant in server.tenants
    }
    path.write_text(yaml.safe_dump({"tenants": tenant_settings}))
