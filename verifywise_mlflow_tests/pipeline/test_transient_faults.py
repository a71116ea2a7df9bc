"""A transient fault leaves no trace in the records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.faults import (
    EVERYTHING,
    LASTING_FAULTS,
    METADATA_ENDPOINTS,
    TRANSIENT_FAULTS,
    has_requested_everything,
    last_entry,
    stored_rows,
    tenant_of_workspace,
)
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.login_roles import new_name
from verifywise_mlflow_tests.support.proxy import (
    Proxy,
    once_for_each_kind,
    saying,
)
from verifywise_mlflow_tests.support.syncing import sync


@pytest.fixture(scope="module")
def healthy_store(full_workspace: str, mlflow_uri: str, postgres: EmbeddedPostgres) -> Iterator[Store]:
    """A store with a tenant that met no fault. Each test compares a tenant of its own with it."""
    with migrated_database(postgres) as url, Store(url) as store:
        sync(tenant_of_workspace("healthy", mlflow_uri, full_workspace), store)
        yield store


@pytest.fixture
def store(healthy_store: Store) -> Store:
    return healthy_store


@pytest.fixture
def proxied_tenant(full_workspace: str, proxy: Proxy) -> Tenant:
    return tenant_of_workspace(new_name("proxied"), proxy.uri, full_workspace)


@pytest.mark.parametrize("name", TRANSIENT_FAULTS)
def test_a_transient_fault_leaves_no_trace_in_the_records(
    name: str,
    proxied_tenant: Tenant,
    proxy: Proxy,
    store: Store,
    without_pauses: None,
) -> None:
    # Every kind of request meets the fault once: the probe, each listing, each search, each artifact call.
    proxy.fault = once_for_each_kind(TRANSIENT_FAULTS[name])

    sync(proxied_tenant, store)

    assert has_requested_everything(proxy)
    assert stored_rows(store, proxied_tenant.tenant_id) == stored_rows(store, "healthy")
    assert last_entry(store, proxied_tenant.tenant_id)["outcome"] == last_entry(store, "healthy")["outcome"]


def test_a_transient_server_error_leaves_no_trace_in_the_records(
    proxied_tenant: Tenant,
    proxy: Proxy,
    store: Store,
    without_pauses: None,
) -> None:
    # At an artifact, 500 is MLflow's ordinary response for a store that cannot be read: see the next test.
    proxy.fault = once_for_each_kind(saying(500), sparing="artifact")

    sync(proxied_tenant, store)

    assert has_requested_everything(proxy)
    assert stored_rows(store, proxied_tenant.tenant_id) == stored_rows(store, "healthy")


@pytest.mark.parametrize("name", ["500", "login page", "huge"])
def test_a_fault_that_retries_do_not_cure_is_repaired_by_the_next_reconcile(
    name: str,
    impatient_tenant: Tenant,
    proxied_tenant: Tenant,
    proxy: Proxy,
    store: Store,
    without_pauses: None,
) -> None:
    proxy.fault = once_for_each_kind(LASTING_FAULTS[name].fault)
    # One kind of request after the other meets the fault, since a fault of most kinds ends the sync.
    for _ in range(2 * len(METADATA_ENDPOINTS)):
        with suppress(HttpError):
            sync(impatient_tenant, store, EVERYTHING)
        if has_requested_everything(proxy):
            break
    assert has_requested_everything(proxy)
    proxy.fault = lambda _: None

    sync(proxied_tenant, store, EVERYTHING)  # the same tenant, with timeouts for a busy machine

    assert stored_rows(store, proxied_tenant.tenant_id) == stored_rows(store, "healthy")
