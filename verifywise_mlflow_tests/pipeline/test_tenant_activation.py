"""The trail of a new tenant names the database roles that had access before it."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from verifywise_mlflow.common.os_user import operating_system_user
from verifywise_mlflow.persistence import erasure, role_grants
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.pipeline.tenant_activation import activate_tenant, reconcile_tenants
from verifywise_mlflow.tenants.tenant import Tenant
from verifywise_mlflow_tests.support.login_roles import LoginRole, login_role, new_name
from verifywise_mlflow_tests.support.syncing import rows
from verifywise_mlflow_tests.support.trail_entries import NOW

GRANTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def grant(store: Store, role: LoginRole, kind: role_grants.RoleKind, tenant_id: str | None = None) -> None:
    with store.begin_shared() as connection:
        role_grants.grant(connection, role.name, kind, tenant_id, GRANTED)


def granted_access(store: Store) -> list[tuple[object, object]]:
    """Return the tenant and the role of each entry about granted access."""
    entries = rows(store, "audit_entries", "tenant_id, sequence")
    return [(row["tenant_id"], row["object_name"]) for row in entries if row["kind"] == "access granted"]


def test_a_new_tenants_trail_names_the_access_that_was_granted_before_it_once(
    tenant: Tenant, store: Store, database_url: str
) -> None:
    with (
        login_role(database_url, new_name("pipeline")) as pipeline,
        login_role(database_url, new_name("listener")) as listener,
        login_role(database_url, new_name("reader")) as reader,
        login_role(database_url, new_name("other")) as other_reader,
    ):
        grant(store, pipeline, "pipeline")
        grant(store, listener, "listener")
        grant(store, reader, "reader", "acme")
        grant(store, other_reader, "reader", "globex")
        with Store(pipeline.url) as of_pipeline:
            for configured in ({"acme": tenant}, {"acme": tenant}, {}, {"acme": tenant}):  # it leaves and comes back
                reconcile_tenants(of_pipeline, configured, NOW)

        trail = [row for row in rows(store, "audit_entries", "sequence") if row["tenant_id"] == "acme"]
        assert [
            (row["kind"], row["object_name"]) for row in trail if "tenant" in str(row["kind"]) or row["object_name"]
        ] == [
            ("access granted", reader.name),
            ("tenant activated", None),
            ("access granted", listener.name),
            ("access granted", pipeline.name),
            ("tenant changed", None),
            ("tenant deactivated", None),
            ("tenant activated", None),
        ]
        added = next(row for row in trail if row["object_name"] == pipeline.name)
        assert added["reason"] == (
            "the database role may write every tenant, this one included, since 2026-01-02 03:04:05 UTC"
        )
        assert added["counts"] == {"kind": "pipeline", "granted_at": GRANTED.isoformat()}
        grantor = (operating_system_user(), store.engine.url.username)
        assert (added["os_user"], added["database_role"]) == grantor
        assert added["occurred_at"] == NOW


def test_the_trail_of_an_erased_tenant_that_returns_names_the_access_of_today(
    tenant: Tenant, store: Store, database_url: str
) -> None:
    reconcile_tenants(store, {"acme": tenant}, NOW)
    erasure.erase(store, "acme", NOW)
    with login_role(database_url, new_name("pipeline")) as pipeline:
        grant(store, pipeline, "pipeline")
        assert granted_access(store) == []

        reconcile_tenants(store, {"acme": tenant}, NOW)

        assert granted_access(store) == [("acme", pipeline.name)]


@pytest.mark.parametrize("first", ["tenant", "grant"])
def test_access_that_is_granted_while_a_tenant_is_added_gets_one_entry(
    tenant: Tenant, store: Store, database_url: str, first: str
) -> None:
    def add_tenant() -> None:
        with store.begin("acme") as session:
            activate_tenant(session, tenant, NOW)
            wait_if_first("tenant")

    def grant_access() -> None:
        with store.begin_shared() as connection:
            role_grants.grant(connection, listener.name, "listener", None, GRANTED)
            wait_if_first("grant")

    def wait_if_first(action: str) -> None:
        if action == first:
            second = executor.submit({"tenant": grant_access, "grant": add_tenant}[action])
            waiting.append(second)
            while not second.done() and not is_blocked(store):
                time.sleep(0.01)

    waiting: list[Future[None]] = []
    with login_role(database_url, new_name("listener")) as listener, ThreadPoolExecutor(1) as executor:
        {"tenant": add_tenant, "grant": grant_access}[first]()
        waiting[0].result()

        assert granted_access(store) == [("acme", listener.name)]


def is_blocked(store: Store) -> bool:
    """Return whether a session waits for a lock of this database."""
    query = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database WHERE NOT granted "
        "AND datname = current_database()"
    )
    with store.engine.connect() as connection:
        return bool(connection.scalar(query))
