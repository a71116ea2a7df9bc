"""The request budget of a whole sync, counted by a proxy in front of a real server.

The number of requests matters for servers with passwords: MLflow hashes the password at least twice per request, which
takes a third of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from math import ceil
from pathlib import Path

import pytest
from mlflow.genai import register_prompt

from verifywise_mlflow.connector.change_probes import newest_updates
from verifywise_mlflow.connector.mlflow_reader import MlflowReader
from verifywise_mlflow.connector.tracking_reader import AGENT_EXPERIMENTS
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.context import SyncOptions
from verifywise_mlflow.tenants.connection import connection_settings
from verifywise_mlflow.tenants.tenant import Artifacts, Tenant
from verifywise_mlflow_tests.connector.page_sizes import REAL_PAGES, SMALL_PAGES, PageSizes, use_page_sizes
from verifywise_mlflow_tests.support.evaluation_fixtures import one_rule_compliance
from verifywise_mlflow_tests.support.proxy import Proxy, proxy_before
from verifywise_mlflow_tests.support.seeding import Sizes, seed
from verifywise_mlflow_tests.support.syncing import requests, rows, sync

REGISTRIES = {
    "an-empty-one": Sizes(0, 0),
    "a-small-one": Sizes(3, 12, runs=12, logged_models=6),
    "a-medium-one": Sizes(20, 150, experiments=20, runs=150),
    "one-full-page-of-models": Sizes(50, 50, runs=20),
    "two-full-pages-of-models": Sizes(100, 100, runs=40),
    "one-full-page-of-experiments": Sizes(10, 20, experiments=50, runs=20),
    "one-full-page-of-logged-models": Sizes(10, 50, runs=10, logged_models=50),
    "one-full-page-of-versions": Sizes(10, 100),
    "two-full-pages-of-versions": Sizes(10, 200),
    "more-than-one-page-of-everything": Sizes(125, 250, experiments=105, runs=120, logged_models=105),
}
"""Sizes of registries in relation to ``SMALL_PAGES``."""
REAL_REGISTRIES = {
    "the-readmes-example": Sizes(200, 2_000, experiments=20, runs=2_000),
    "more-than-one-page": Sizes(1_050, 1_050, experiments=1_050, runs=250, logged_models=1_050),
}
"""Sizes in relation to ``REAL_PAGES``. No listing of versions or experiments takes two pages: that takes a minute."""


def full_sync_budget(sizes: Sizes, pages: PageSizes) -> int:
    """Return the requests that a full sync may send."""
    return (
        max(ceil(sizes.models / pages.models), 1)
        + max(ceil(sizes.versions / pages.versions), 1)
        + ceil(sizes.experiments / pages.experiments)
        + ceil(sizes.experiments / AGENT_EXPERIMENTS)
        + ceil(sizes.runs / pages.runs)
        + ceil(sizes.logged_models / pages.logged_models)
        + 4
    )


def unchanged_sync_budget(sizes: Sizes, pages: PageSizes) -> int:
    """Return the requests that a sync without changes may send. Runs are read only if they fit into one request."""
    listings = full_sync_budget(Sizes(sizes.models, sizes.versions, experiments=0), pages)
    return listings + (2 if 0 < sizes.runs <= pages.runs else 0)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> PageSizes:
    use_page_sizes(monkeypatch, SMALL_PAGES)
    return SMALL_PAGES


@pytest.fixture
def proxy(mlflow_uri: str) -> Iterator[Proxy]:
    with proxy_before(mlflow_uri) as proxy:
        yield proxy


@pytest.fixture
def seeded_tenant(proxy: Proxy, mlflow_database: Path, tenant: Tenant, tmp_path: Path) -> Callable[[Sizes], Tenant]:
    """Seed the workspace; return its tenant behind the proxy. The tenant has one rule, since rules send no requests."""
    without_files = {
        "tracking_uri": proxy.uri,
        "artifacts": Artifacts(manifests=False),
        "compliance": one_rule_compliance(tmp_path),
    }

    def seed_tenant(sizes: Sizes) -> Tenant:
        seed(mlflow_database, tenant.workspace or "", sizes)
        return tenant.model_copy(update=without_files)

    return seed_tenant


@pytest.mark.parametrize("name", REGISTRIES)
def test_a_sync_reads_everything_within_its_budget(
    name: str, proxy: Proxy, seeded_tenant: Callable[[Sizes], Tenant], store: Store, small_pages: PageSizes
) -> None:
    assert_within_budget(REGISTRIES[name], small_pages, proxy, seeded_tenant, store)


@pytest.mark.parametrize("name", REAL_REGISTRIES)
def test_a_sync_of_real_pages_reads_everything_within_its_budget(
    name: str, proxy: Proxy, seeded_tenant: Callable[[Sizes], Tenant], store: Store
) -> None:
    assert_within_budget(REAL_REGISTRIES[name], REAL_PAGES, proxy, seeded_tenant, store)


def test_ten_thousand_versions_are_listed_in_one_request_and_more_in_two(
    proxy: Proxy, seeded_tenant: Callable[[Sizes], Tenant]
) -> None:
    tenant = seeded_tenant(Sizes(10, 10_050))

    with closing(MlflowReader(connection_settings(tenant))) as reader:
        listing = reader.model_versions().read()

    assert (len(listing.rows), listing.is_complete) == (10_050, True)
    assert [exchange.path for exchange in proxy.exchanges].count("/api/2.0/mlflow/model-versions/search") == 2


def assert_within_budget(
    sizes: Sizes, pages: PageSizes, proxy: Proxy, seeded_tenant: Callable[[Sizes], Tenant], store: Store
) -> None:
    tenant = seeded_tenant(sizes)

    first = sync(tenant, store)
    cost_of_first = proxy.requests
    proxy.forget()
    second = sync(tenant, store)
    cost_of_second = proxy.requests
    proxy.forget()
    newest_updates(connection_settings(tenant))

    # A low number of requests proves nothing if something is missing.
    assert len(rows(store, "registered_models")) == sizes.models
    records = rows(store, "canonical_records")
    assert len(records) == sizes.versions
    assert sum(row["metrics"] is not None for row in records) == (sizes.versions if sizes.runs else 0)
    assert len(rows(store, "training_runs", "run_id")) == sizes.runs
    assert len(rows(store, "logged_models", "model_id")) == sizes.logged_models
    assert all(row["incomplete"] == [] for row in records)
    assert cost_of_first <= full_sync_budget(sizes, pages)
    assert cost_of_second <= unchanged_sync_budget(sizes, pages)
    assert proxy.requests == 1, "an idle poll"
    assert (requests(first), requests(second)) == (cost_of_first, cost_of_second), "our own figures are true"
    assert sum(report.progress.changed for report in second.reports) == 0


@pytest.mark.parametrize(("models", "prompts"), [(98, 2), (149, 1)])
def test_prompts_cost_no_more_requests_than_models(
    models: int,
    prompts: int,
    proxy: Proxy,
    seeded_tenant: Callable[[Sizes], Tenant],
    store: Store,
    small_pages: PageSizes,
) -> None:
    tenant = seeded_tenant(Sizes(models, models, runs=20))
    for number in range(prompts):
        register_prompt(f"greeting-{number}", "Hello {{name}}")

    sync(tenant, store)

    assert len(rows(store, "canonical_records")) == models
    # A later page of models repeats one row, which may cost one more page. Without prompts, the search for prompt
    # versions is omitted, which compensates for that page.
    new_rows = small_pages.models - 1
    extra_page = max(ceil((models - 1) / new_rows), 1) - max(ceil((models + prompts) / small_pages.models), 1)
    all_rows = Sizes(models + prompts, models + prompts, runs=20)
    assert proxy.requests <= full_sync_budget(all_rows, small_pages) + max(extra_page, 0)


def test_a_reconcile_sends_no_more_requests_than_a_first_sync(
    proxy: Proxy, seeded_tenant: Callable[[Sizes], Tenant], store: Store, small_pages: PageSizes
) -> None:
    sizes = Sizes(10, 60, experiments=30, runs=60, logged_models=60)
    tenant = seeded_tenant(sizes)
    sync(tenant, store)
    proxy.forget()

    reconcile = sync(tenant, store, SyncOptions(reconcile=True))

    assert proxy.requests <= full_sync_budget(sizes, small_pages)
    assert requests(reconcile) == proxy.requests
    assert reconcile.reports[2].progress.read == 120


@pytest.mark.usefixtures("small_pages")
def test_no_more_than_three_pages_are_requested_at_once(
    proxy: Proxy, seeded_tenant: Callable[[Sizes], Tenant], store: Store
) -> None:
    tenant = seeded_tenant(Sizes(5, 200, runs=200))

    sync(tenant, store)

    # The limit begins at two, and may grow while the server is fast; three pages of runs are read ahead.
    assert 2 <= proxy.most_at_once <= 3
