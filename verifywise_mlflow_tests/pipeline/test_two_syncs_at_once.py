"""Concurrent syncs of one tenant exclude each other; syncs of two tenants do not wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence.locks import TenantLock
from verifywise_mlflow.persistence.store import Store, TenantBusyError
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.database_snapshot import differences, outcomes
from verifywise_mlflow_tests.support.databases import create_migrated_database
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows, sync


def test_two_concurrent_processes_leave_the_same_rows_as_one_sync(
    registry: Registry,
    tenant: Tenant,
    tenants_file: Path,
    empty_database_url: str,
    postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for model in ("a", "b", "c"):
        registry.trained_version(model)
        registry.version(model, run_id="f" * 32)
    with Store(create_migrated_database(postgres)) as alone:
        sync(tenant, alone)
        alone_url = alone.engine.url.render_as_string(hide_password=False)

    # There is no schema yet, so both syncs try to create it.
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", empty_database_url)
    command = [sys.executable, "-m", "verifywise_mlflow.cli", "sync", "acme", "--json"]
    processes = [subprocess.Popen(command, env=os.environ.copy(), stdout=subprocess.DEVNULL) for _ in range(2)]

    assert [process.wait() for process in processes] == [0, 0]
    assert differences(empty_database_url, alone_url) == {}
    # The second sync found nothing new, and a run that is known to be missing is not requested again.
    sync_outcomes = outcomes(empty_database_url)
    assert len(sync_outcomes) == 2
    assert "failed" not in sync_outcomes


def test_a_second_sync_gives_up_if_the_first_does_not_end(tenant: Tenant, store: Store, database_url: str) -> None:
    with _StoreWithoutWaiting(database_url) as other:
        with store.exclusive("acme"), pytest.raises(TenantBusyError, match="another sync of acme"):
            sync(tenant, other)
        with store.exclusive("acme"), other.exclusive("globex"):
            pass

    (end_entry,) = [row for row in rows(store, "audit_entries", "sequence") if row["kind"] == "sync ended"]
    assert (end_entry["outcome"], "wait for it, or end it" in str(end_entry["reason"])) == ("failed", True)
    assert rows(store, "registered_models") == []


class _StoreWithoutWaiting(Store):
    """A store that does not wait for ten minutes."""

    @contextmanager
    def exclusive(self, tenant_id: str, *, wait_seconds: float = 0.3, lock: TenantLock = "sync") -> Iterator[None]:
        with super().exclusive(tenant_id, wait_seconds=wait_seconds, lock=lock):
            yield
