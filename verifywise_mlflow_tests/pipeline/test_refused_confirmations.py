"""A server that refuses the credentials, or an object, while missing objects are requested one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verifywise_mlflow.http.errors import UnauthenticatedError
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.pipeline.faults import last_entry, read_failure_reasons
from verifywise_mlflow_tests.support.proxy import Exchange, Fault, Proxy, saying
from verifywise_mlflow_tests.support.registry import Registry
from verifywise_mlflow_tests.support.syncing import rows, sync

ONE_MODEL, ONE_VERSION = "registered-models/get", "model-versions/get"
"""The endpoints that confirm a removal."""


def delete_models(registry: Registry) -> None:
    for name in ("fraud", "lending"):
        registry.client.delete_registered_model(name)


def delete_versions(registry: Registry) -> None:
    for number in ("1", "2"):
        registry.client.delete_model_version("churn", number)


def refusing(fault: Fault, endpoint: str, name_or_number: str) -> Callable[[Exchange], Fault | None]:
    """Choose a fault for the request of one object."""

    def choose(exchange: Exchange) -> Fault | None:
        is_object = [name_or_number] in exchange.query.values()
        return fault if is_object and exchange.kind.endswith(endpoint) else None

    return choose


def tombstones(store: Store, table: str) -> list[tuple[object, object]]:
    return [
        (row["model_name"], row.get("version_number")) for row in rows(store, table) if row["deleted_at"] is not None
    ]


@pytest.fixture
def synced_tenant(registry: Registry, tenant: Tenant, proxy: Proxy, store: Store) -> Tenant:
    """A tenant that was synced through the proxy: three versions of one model, and two more models."""
    for name in ("churn", "churn", "churn", "fraud", "lending"):
        registry.version(name)
    proxied = tenant.model_copy(update={"tracking_uri": proxy.uri})
    sync(proxied, store)
    proxy.forget()
    return proxied


CASES = pytest.mark.parametrize(
    ("delete", "endpoint", "refused", "table", "deleted"),
    [
        (delete_models, ONE_MODEL, "lending", "registered_models", [("fraud", None), ("lending", None)]),
        (delete_versions, ONE_VERSION, "2", "model_versions", [("churn", 1), ("churn", 2)]),
    ],
    ids=["models", "versions"],
)


@CASES
def test_refused_credentials_end_the_stage_and_remove_nothing(
    delete: Callable[[Registry], None],
    endpoint: str,
    refused: str,
    table: str,
    deleted: list[tuple[object, object]],
    registry: Registry,
    synced_tenant: Tenant,
    proxy: Proxy,
    store: Store,
) -> None:
    delete(registry)
    proxy.fault = refusing(saying(401, "You are not authenticated", "text/html"), endpoint, refused)

    with pytest.raises(UnauthenticatedError):
        sync(synced_tenant, store)

    assert len(proxy.requests_ending_with(endpoint)) == 2, "the first one was not found"
    assert proxy.requests_ending_with("runs/search") == [], "no later stage sent a request"
    assert tombstones(store, table) == []
    entry = last_entry(store, synced_tenant.tenant_id)
    assert (entry["outcome"], "responded with 401" in str(entry["reason"])) == ("failed", True)

    proxy.fault = lambda _: None
    sync(synced_tenant, store)
    assert tombstones(store, table) == deleted


@CASES
def test_an_object_that_may_not_be_read_is_not_removed_but_others_are(
    delete: Callable[[Registry], None],
    endpoint: str,
    refused: str,
    table: str,
    deleted: list[tuple[object, object]],
    registry: Registry,
    synced_tenant: Tenant,
    proxy: Proxy,
    store: Store,
) -> None:
    delete(registry)
    proxy.fault = refusing(saying(403, "Permission denied", "text/html"), endpoint, refused)

    sync(synced_tenant, store)

    assert tombstones(store, table) == deleted[:1]
    assert last_entry(store, synced_tenant.tenant_id)["outcome"] == "incomplete"
    assert any("responded with 403" in reason for reason in read_failure_reasons(store))
