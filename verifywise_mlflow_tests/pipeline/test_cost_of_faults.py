"""A fault costs seconds and little memory, and does not affect a second tenant at the same server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from verifywise_mlflow.demo.servers.ports import free_port
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.faults import (
    EVERYTHING,
    GIB,
    LASTING_FAULTS,
    MIB,
    finishes_within,
    last_entry,
    stored_rows,
)
from verifywise_mlflow_tests.support.proxy import (
    FILE_ENDPOINTS,
    Fault,
    Proxy,
    always,
    gzip_bomb,
    huge,
    silent,
)
from verifywise_mlflow_tests.support.syncing import sync


@pytest.mark.parametrize("name", ["silent", "dripping", "huge", "503", "reset within the answer"])
def test_a_concurrent_sync_of_a_second_tenant_is_unaffected(
    name: str,
    healthy_tenant: Tenant,
    impatient_tenant: Tenant,
    proxy: Proxy,
    store: Store,
    database_url: str,
) -> None:
    began = time.monotonic()
    sync(healthy_tenant, store)
    alone = time.monotonic() - began
    before = stored_rows(store, "healthy")
    proxy.fault = always(LASTING_FAULTS[name].fault)
    other = Store(database_url)

    with closing(other), ThreadPoolExecutor(1) as pool:
        broken = pool.submit(sync, impatient_tenant, other, EVERYTHING)
        began = time.monotonic()
        reconcile = sync(healthy_tenant, store, EVERYTHING)
        concurrent = time.monotonic() - began
        with pytest.raises(HttpError):
            broken.result()

    assert stored_rows(store, "healthy") == before
    assert reconcile.reports[3].progress.read == 3, "all artifacts were read again"
    assert last_entry(store, "healthy")["outcome"] == "complete"
    assert concurrent < 3 * alone + 3


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [("registered-models/search", "failed"), ("runs/search", "complete"), (FILE_ENDPOINTS, "incomplete")],
)
@pytest.mark.parametrize("fault", [huge(8 * GIB), gzip_bomb(8 * GIB)], ids=["huge", "gzip-bomb"])
def test_a_flood_ends_at_a_limit_with_little_memory(
    fault: Fault,
    ending: str | tuple[str, ...],
    outcome: str,
    full_workspace: str,
    proxy: Proxy,
    tenants_file: Path,
    mlflow_uri: str,
    workspace: str,
    tmp_path: Path,
) -> None:
    # In a separate process with the default settings, since memory is measured per process.
    tenant_settings = (
        tenants_file.read_text()
        .replace(mlflow_uri, proxy.uri)
        .replace(workspace, full_workspace)
        .replace("best_effort", "best_effort, max_file_bytes: 20000000")
    )
    assert "max_file_bytes" in tenant_settings
    tenants_file.write_text(tenant_settings)
    proxy.fault = always(fault, ending)

    with finishes_within(60), (tmp_path / "said").open("w+") as output_file:
        process = subprocess.Popen(
            [sys.executable, "-m", "verifywise_mlflow.cli", "sync", "acme", "--json"],
            stdout=output_file,
            stderr=output_file,
        )
        peak = 0
        while process.poll() is None:
            # Not ru_maxrss, which begins with the memory of the tests that the process was forked from.
            with suppress(OSError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                peak = max(peak, *(int(kibibytes) for kibibytes in re.findall(r"VmHWM:\s+(\d+) kB", status)), 0)
            time.sleep(0.02)
        output_file.seek(0)
        report = json.loads(output_file.read())

    assert proxy.requests_ending_with(ending), "the flood was met"
    assert report["outcome"] == outcome
    assert 0 < peak * 1024 < 500 * MIB


def test_a_tenant_whose_port_is_closed_costs_seconds(tenant: Tenant, store: Store) -> None:
    dead = tenant.model_copy(update={"tracking_uri": f"http://127.0.0.1:{free_port()}"})

    with finishes_within(30), pytest.raises(HttpError, match="refused"):
        sync(dead, store)


@pytest.mark.slow(seconds=20)
def test_a_tenant_whose_server_never_answers_costs_seconds(proxied_tenant: Tenant, proxy: Proxy, store: Store) -> None:
    proxy.fault = always(silent)

    with finishes_within(30), pytest.raises(HttpError, match="no response in time"):
        sync(proxied_tenant, store)
