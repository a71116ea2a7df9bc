"""Measures the CPU time that polls of a real MLflow server take on the code server."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import urllib3

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.services.change_polls import (
    fetch_fingerprints,
    fetch_newest_updates,
    registry_change_token,
    update_change_token,
)
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.seeding import Sizes, seed

_POLLS, _LISTINGS = 100, 30
_SMALL, _LARGE = 10, 1_000


def measure(folder: Path) -> Mapping[str, float]:
    """Poll registries of two sizes; return milliseconds of CPU."""
    database = folder / "mlflow.db"
    with (
        MlflowServer(
            backend_uri=f"sqlite:///{database}",
            artifacts=folder / "artifacts",
            log=folder / "mlflow.log",
            arguments=["--enable-workspaces"],
        ) as server,
        temporary_postgres(["store"]) as postgres,
        Store(postgres.url("store")) as store,
    ):
        seconds = {}
        for versions in (_SMALL, _LARGE):
            name = f"versions-{versions}"
            url = f"{server.uri}/api/3.0/mlflow/workspaces"
            assert urllib3.request("POST", url, json={"name": name}, timeout=60).status < 300
            seed(database, name, Sizes(models=versions // 10, versions=versions))
            tenant = Tenant(tenant_id=name, tracking_uri=server.uri, workspace=name, allow_private_network=True)
            with Sync(tenant, store) as sync:
                for stage in (Stage.REGISTERED_MODELS, Stage.MODEL_VERSIONS):
                    sync.run(stage)
            seconds[versions] = _cpu_seconds(_LISTINGS, lambda tenant=tenant: _compare(store, tenant))  # type: ignore[misc]
        poll = _cpu_seconds(_POLLS, lambda: fetch_newest_updates(tenant, with_prompts=False))
        newest = fetch_newest_updates(tenant, with_prompts=False)
        transaction = _cpu_seconds(_POLLS, lambda: update_change_token(store, tenant.tenant_id, newest))
    slope = (seconds[_LARGE] - seconds[_SMALL]) / (_LARGE - _SMALL)
    return {
        "poll": 1e3 * poll,
        "listing": 1e3 * (seconds[_SMALL] - _SMALL * slope - transaction),
        "listed_version": 1e3 * slope,
        "transaction of a poll": 1e3 * transaction,
    }


def _compare(store: Store, tenant: Tenant) -> None:
    assert registry_change_token(store, tenant.tenant_id, fetch_fingerprints(tenant)) is None


def _cpu_seconds(times: int, act: Callable[[], object]) -> float:
    act()
    began = time.process_time()
    for _ in range(times):
        act()
    return (time.process_time() - began) / times
