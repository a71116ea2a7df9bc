"""A persistent fault ends a sync within seconds with a clear error, and the stored data stays as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.faults import (
    EVERYTHING,
    LASTING_FAULTS,
    MAX_FAULT_SECONDS,
    SHORT_TIMEOUTS,
    assert_only_evidence_lost,
    finishes_within,
    last_entry,
    read_failure_reasons,
    recorded_files,
    stored_rows,
    tenant_of_workspace,
    verdicts_of,
)
from verifywise_mlflow_tests.support.databases import migrated_database
from verifywise_mlflow_tests.support.proxy import (
    FILE_ENDPOINTS,
    LISTING_ENDPOINTS,
    Proxy,
    always,
    proxy_before,
    saying,
)
from verifywise_mlflow_tests.support.syncing import rows, sync


@dataclass(frozen=True, slots=True)
class SyncedTenant:
    """A tenant, the proxy that it connects through, and the store that it was synced to."""

    tenant: Tenant
    proxy: Proxy
    store: Store

    @property
    def impatient(self) -> Tenant:
        """The tenant with timeouts that a test can wait for. A healthy response may exceed them on a busy machine."""
        return self.tenant.model_copy(update={"limits": SHORT_TIMEOUTS})


@pytest.fixture(scope="module")
def synced_tenant(full_workspace: str, mlflow_uri: str, postgres: EmbeddedPostgres) -> Iterator[SyncedTenant]:
    """A synced tenant. Each test checks that the tenant's rows are unchanged, so the next test can use it, too."""
    with proxy_before(mlflow_uri) as proxy, migrated_database(postgres) as url, Store(url) as store:
        tenant = tenant_of_workspace("proxied", proxy.uri, full_workspace)
        sync(tenant, store)
        yield SyncedTenant(tenant, proxy, store)


@pytest.mark.parametrize("name", LASTING_FAULTS)
def test_a_persistent_fault_ends_the_sync_with_a_clear_error_and_deletes_nothing(
    name: str, synced_tenant: SyncedTenant, without_pauses: None
) -> None:
    store = synced_tenant.store
    before = stored_rows(store, "proxied")
    synced_tenant.proxy.fault = always(LASTING_FAULTS[name].fault)

    with pytest.raises(HttpError), finishes_within(MAX_FAULT_SECONDS):
        sync(synced_tenant.impatient, store, EVERYTHING)

    assert stored_rows(store, "proxied") == before
    assert all(before.values())
    entry = last_entry(store, "proxied")
    assert entry["outcome"] == "failed"
    assert re.search(LASTING_FAULTS[name].message, str(entry["reason"]))


@pytest.mark.parametrize(
    "ending",
    ["registered-models/search", "model-versions/search", "experiments/search", "logged-models/search", "runs/search"],
)
@pytest.mark.parametrize("name", ["503", "login page"])
def test_a_fault_of_one_endpoint_deletes_nothing(
    name: str, ending: str, synced_tenant: SyncedTenant, without_pauses: None
) -> None:
    store = synced_tenant.store
    before = stored_rows(store, "proxied")
    synced_tenant.proxy.fault = always(LASTING_FAULTS[name].fault, ending)

    with finishes_within(MAX_FAULT_SECONDS), suppress(HttpError):
        sync(synced_tenant.tenant, store, EVERYTHING)

    assert stored_rows(store, "proxied") == before
    entry = last_entry(store, "proxied")
    # Objects that a search does not return are requested one by one, unless the server is overloaded.
    if ending in {"logged-models/search", "runs/search"} and name != "503":
        assert entry["outcome"] == "complete"
    else:
        assert entry["outcome"] == "failed"
        assert re.search(LASTING_FAULTS[name].message, str(entry["reason"]))


@pytest.mark.parametrize("endpoints", [LISTING_ENDPOINTS, FILE_ENDPOINTS], ids=["listings", "files"])
@pytest.mark.parametrize("name", ["503", "truncated"])
def test_artifacts_that_cannot_be_read_again_keep_their_stored_data(
    name: str,
    endpoints: tuple[str, ...],
    impatient_tenant: Tenant,
    proxy: Proxy,
    store: Store,
    without_pauses: None,
) -> None:
    sync(impatient_tenant, store)
    files, verdicts = recorded_files(store), verdicts_of(store)
    proxy.fault = always(LASTING_FAULTS[name].fault, endpoints)

    with finishes_within(MAX_FAULT_SECONDS):
        sync(impatient_tenant, store, EVERYTHING)

    entry = last_entry(store, "proxied")
    assert entry["outcome"] == "incomplete"
    assert any(re.search(LASTING_FAULTS[name].message, reason) for reason in read_failure_reasons(store))
    assert_only_evidence_lost(verdicts_of(store), verdicts)
    assert recorded_files(store) == files


@pytest.mark.parametrize("name", ["login page", "empty"])
def test_a_gateways_error_page_is_not_taken_for_the_file(
    name: str,
    impatient_tenant: Tenant,
    proxy: Proxy,
    store: Store,
    without_pauses: None,
) -> None:
    sync(impatient_tenant, store)
    files, verdicts = recorded_files(store), verdicts_of(store)
    proxy.fault = always(LASTING_FAULTS[name].fault, FILE_ENDPOINTS)

    sync(impatient_tenant, store, EVERYTHING)

    assert last_entry(store, "proxied")["outcome"] == "incomplete"
    assert_only_evidence_lost(verdicts_of(store), verdicts)
    assert recorded_files(store) == files


def test_an_outage_stores_no_countdown(
    impatient_tenant: Tenant, proxy: Proxy, store: Store, without_pauses: None
) -> None:
    proxy.fault = always(saying(503), FILE_ENDPOINTS)

    sync(impatient_tenant, store)

    # A text with the remaining seconds would differ in each sync, and each sync would rewrite the records.
    texts = [*read_failure_reasons(store), *(str(row) for row in rows(store, "canonical_records"))]
    assert any("503" in text for text in texts)
    assert [text for text in texts if re.search(r"another \d+ seconds", text)] == []
