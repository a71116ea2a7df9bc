"""The request budget of a whole sync, counted by a proxy before a real server.

The number matters for servers with passwords: checking one takes MLflow a third of a second per request.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.genai import register_prompt

from verifywise_mlflow.connector.change_probes import newest_version_timestamp
from verifywise_mlflow.demo.servers.mlflow_server import MlflowServer
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.pipeline.syncing import requests, rows, sync
from verifywise_mlflow_tests.proxy import Proxy, proxy_before
from verifywise_mlflow_tests.seeding import Sizes, seed

REGISTRIES = {
    "an-empty-one": Sizes(0, 0),
    "a-small-one": Sizes(3, 12, runs=12, logged_models=6),
    "the-readmes-example": Sizes(200, 2_000, experiments=20, runs=2_000),
    "one-full-page-of-models": Sizes(1_000, 1_000, runs=200),
    "two-full-pages-of-models": Sizes(2_000, 2_000, runs=400),
    "one-full-page-of-experiments": Sizes(10, 20, experiments=1_000, runs=20),
    "one-full-page-of-logged-models": Sizes(10, 1_000, runs=10, logged_models=1_000),
    "one-full-page-of-versions": Sizes(10, 10_000),
    "more-than-one-page-of-everything": Sizes(2_500, 10_050, experiments=1_050, runs=1_200, logged_models=1_050),
}


def full_sync_budget(sizes: Sizes) -> int:
    """Return the requests that a full sync may send."""
    return (
        max(ceil(sizes.models / 1_000), 1)
        + max(ceil(sizes.versions / 10_000), 1)
        + ceil(sizes.experiments / 1_000)
        + ceil(sizes.runs / 200)
        + ceil(sizes.logged_models / 1_000)
        + 4
    )


def unchanged_sync_budget(sizes: Sizes) -> int:
    """Return the requests that a sync may send if nothing has changed: runs are read only if one request holds them."""
    return full_sync_budget(Sizes(sizes.models, sizes.versions, experiments=0)) + (2 if 0 < sizes.runs <= 200 else 0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("budget")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[MlflowServer]:
    """A server for this module only, whose database is seeded directly."""
    with MlflowServer(
        backend_uri=f"sqlite:///{home}/mlflow.db",
        artifacts=home / "artifacts",
        log=home / "mlflow.log",
        arguments=["--enable-workspaces"],
    ) as server:
        yield server


@pytest.fixture
def proxy(server: MlflowServer) -> Iterator[Proxy]:
    with proxy_before(server.uri) as proxy:
        yield proxy


def tenant_of(proxy: Proxy, server: MlflowServer, home: Path, name: str, sizes: Sizes) -> Tenant:
    """Seed a registry of these sizes; return a tenant that reads it through the proxy."""
    MlflowClient(server.uri).create_workspace(name)
    seed(home / "mlflow.db", name, sizes)
    return Tenant(
        tenant_id="acme",
        tracking_uri=proxy.uri,
        workspace=name,
        allow_private_network=True,
        artifacts=Artifacts(manifests=False),
    )


@pytest.mark.parametrize("name", REGISTRIES)
def test_a_sync_reads_everything_within_its_budget(
    name: str, proxy: Proxy, server: MlflowServer, home: Path, store: Store
) -> None:
    sizes = REGISTRIES[name]
    tenant = tenant_of(proxy, server, home, name, sizes)

    first = sync(tenant, store)
    cost_of_first = proxy.requests
    proxy.forget()
    second = sync(tenant, store)
    cost_of_second = proxy.requests
    proxy.forget()
    newest_version_timestamp(connection_settings(tenant))

    # A low number of requests proves nothing if something is missing.
    assert len(rows(store, "registered_models")) == sizes.models
    records = rows(store, "canonical_records")
    assert len(records) == sizes.versions
    assert sum(row["metrics"] is not None for row in records) == (sizes.versions if sizes.runs else 0)
    assert len(rows(store, "training_runs", "run_id")) == sizes.runs
    assert len(rows(store, "logged_models", "model_id")) == sizes.logged_models
    assert all(row["incomplete"] == [] for row in records)
    assert cost_of_first <= full_sync_budget(sizes)
    assert cost_of_second <= unchanged_sync_budget(sizes)
    assert proxy.requests == 1, "an idle poll"
    assert (requests(first), requests(second)) == (cost_of_first, cost_of_second), "our own figures are true"
    assert sum(report.progress.changed for report in second.reports) == 0


@pytest.mark.parametrize(("models", "prompts"), [(1_998, 2), (2_999, 1)])
def test_prompts_cost_no_more_requests_than_models(
    models: int,
    prompts: int,
    proxy: Proxy,
    server: MlflowServer,
    home: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"with-prompts-{models}"
    tenant = tenant_of(proxy, server, home, name, Sizes(models, models, runs=200))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_WORKSPACE", name)
    for number in range(prompts):
        register_prompt(f"greeting-{number}", "Hello {{name}}")

    sync(tenant, store)

    assert len(rows(store, "canonical_records")) == models
    # Later pages of models have 999 new rows, which may cost one more page. Without prompts, the search for their
    # versions is omitted, which makes up for it.
    one_more = max(ceil((models - 1) / 999), 1) - max(ceil((models + prompts) / 1_000), 1)
    assert proxy.requests <= full_sync_budget(Sizes(models + prompts, models + prompts, runs=200)) + max(one_more, 0)


def test_a_reconcile_sends_no_more_requests_than_a_first_sync(
    proxy: Proxy, server: MlflowServer, home: Path, store: Store
) -> None:
    sizes = Sizes(50, 500, experiments=30, runs=500, logged_models=500)
    tenant = tenant_of(proxy, server, home, "reconciled", sizes)
    sync(tenant, store)
    proxy.forget()

    again = sync(tenant, store, SyncOptions(reconcile=True))

    assert proxy.requests <= full_sync_budget(sizes)
    assert requests(again) == proxy.requests
    assert again.reports[2].progress.read == 1_000


def test_no_more_than_two_requests_are_in_flight(proxy: Proxy, server: MlflowServer, home: Path, store: Store) -> None:
    tenant = tenant_of(proxy, server, home, "at-once", Sizes(5, 1_000, runs=1_000))

    sync(tenant, store)

    assert proxy.most_at_once == 2
