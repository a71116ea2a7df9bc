"""Measures the cost of tenants in the store: bytes on disk, and transactions of ticks that read every tenant."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from statistics import quantiles

from sqlalchemy import text

from benchmarks.database_cost import write_manifests
from benchmarks.synthetic import TENANT, SyntheticReader
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.demo.servers.postgres import temporary_postgres
from verifywise_mlflow.persistence.queries.stage_timestamps import new_integrity_events
from verifywise_mlflow.persistence.repositories import history_usage
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.sync import Sync
from verifywise_mlflow.pipeline.tenant_activation import reconcile_tenants
from verifywise_mlflow.services.freshness import tenants_freshness

_SIZE = text(
    "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE n.nspname = 'verifywise_mlflow' AND c.relkind IN ('r', 'p', 'm')"
)
UNCHANGED_SYNCS = 60


def measure(versions: int = 2_000, tenants: int = 300) -> Mapping[str, float]:
    """Sync generated tenants into a temporary Postgres; return kilobytes and milliseconds."""
    with temporary_postgres(["store"]) as postgres, Store(postgres.url("store")) as store:
        empty = _bytes(store)
        _sync(store, versions, retagged=0, is_first=True)
        first = _bytes(store)
        _sync(store, versions, retagged=versions // 4)
        changed = _bytes(store)
        for _ in range(UNCHANGED_SYNCS):
            _sync(store, versions, retagged=versions // 4)
        unchanged = _bytes(store)
        return {
            "version_bytes": (first - empty) / versions / 1e3,
            "change_bytes": (changed - first) / (versions // 4) / 1e3,
            "sync_bytes": max(unchanged - changed, 0) / UNCHANGED_SYNCS / 1e3,
            **_transactions(store, tenants),
        }


def _sync(store: Store, versions: int, *, retagged: int, is_first: bool = False) -> None:
    with Sync(TENANT, store, _reader=SyntheticReader(versions, retagged=retagged)) as sync:
        for stage in Stage:
            if is_first and stage is Stage.ARTIFACT_MANIFESTS:
                write_manifests(sync)
            sync.run(stage)


def _bytes(store: Store) -> int:
    """Return the size of all tables with their indexes, without dead rows."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM"))
        return int(connection.scalar(_SIZE) or 0)


def _transactions(store: Store, tenants: int) -> Mapping[str, float]:
    """Return the CPU and the additional wait of one transaction in which a sensor reads a tenant's state."""
    now = datetime.now(UTC)
    fleet = {name: TENANT.model_copy(update={"tenant_id": name}) for name in (f"tenant-{n:05}" for n in range(tenants))}
    reconcile_tenants(store, fleet | {TENANT.tenant_id: TENANT}, now)
    began, waits = time.process_time(), []
    for tenant in fleet.values():
        started = time.perf_counter()
        assert list(tenants_freshness(store, [tenant], now))
        with store.begin(tenant.tenant_id) as session:
            history_usage.held_back(session)
        with store.begin(tenant.tenant_id) as session:
            new_integrity_events(session, 0)
        waits.append((time.perf_counter() - started) / 3)
    cpu = (time.process_time() - began) / tenants / 3
    # On a busy machine, most transactions also wait for a core, so a low quantile is used.
    undisturbed = quantiles(waits, n=20)[0]
    return {
        "transaction": 1e3 * cpu,
        "transaction_wait": 1e3 * max(undisturbed - cpu, 0.0),
        "load of the machine meanwhile": os.getloadavg()[0],
    }
