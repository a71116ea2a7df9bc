from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.connector.models import RegisteredModel
from verifywise_mlflow.persistence.repositories import audit_log, registry
from verifywise_mlflow.persistence.repositories.registry import ListedObject
from verifywise_mlflow.persistence.store import Store, TenantBusyError
from verifywise_mlflow.persistence.tables import registered_models
from verifywise_mlflow_tests.support.trail_entries import NOW


def entry(number: int, tenant_id: str = "acme") -> AuditEntry:
    return AuditEntry(
        tenant_id=tenant_id,
        occurred_at=NOW + timedelta(seconds=number),
        kind="sync ended",
        sync_id=f"s{number}",
        source_uri="https://a.example",
        outcome="complete",
        code_version="0",
        reason="\x00 and \ud800",
        counts={"requests": number},
    )


def test_entries_are_returned_newest_first_for_one_tenant(store: Store) -> None:
    with store.begin("acme") as session:
        audit_log.append(session, [entry(1), entry(2)])
        audit_log.append(session, [])
    with store.begin("globex") as session:
        audit_log.append(session, [entry(3, "globex")])

    with store.begin("acme") as session:
        assert audit_log.entries(session) == [(2, entry(2)), (1, entry(1))]
        assert audit_log.entries(session, limit=1) == [(2, entry(2))]
    with store.begin("globex") as session:
        assert audit_log.entries(session) == [(1, entry(3, "globex"))]


def test_an_entry_of_another_tenant_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="another tenant"), store.begin("acme") as session:
        audit_log.append(session, [entry(1), entry(2, "globex")])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE verifywise_mlflow.audit_trail SET entry = '{}'",
        "DELETE FROM verifywise_mlflow.audit_trail",
        "TRUNCATE verifywise_mlflow.audit_trail",
        "INSERT INTO verifywise_mlflow.audit_trail (sequence, tenant_id) VALUES (1, 'acme')",
    ],
)
def test_the_trail_refuses_everything_but_new_entries(store: Store, statement: str) -> None:
    with store.begin("acme") as session:
        audit_log.append(session, [entry(1)])

    with pytest.raises(DBAPIError), store.begin_shared() as connection:
        connection.execute(text(statement))

    with store.begin("acme") as session:
        assert audit_log.entries(session) == [(1, entry(1))]


def test_a_second_sync_of_a_tenant_waits_for_the_first(store: Store, database_url: str) -> None:
    other = Store(database_url)
    with store.exclusive("acme"):
        with pytest.raises(TenantBusyError, match="another sync of acme"), other.exclusive("acme", wait_seconds=0.3):
            pytest.fail("it was let in")
        with other.exclusive("globex", wait_seconds=0):
            pass

    with other.exclusive("acme", wait_seconds=0):
        pass
    other.close()


def test_a_failed_sync_releases_the_lock(store: Store, database_url: str) -> None:
    other = Store(database_url)
    with pytest.raises(RuntimeError, match="boom"), store.exclusive("acme"):
        raise RuntimeError("boom")

    with other.exclusive("acme", wait_seconds=0):
        pass
    other.close()


def test_the_lock_of_a_long_sync_outlives_the_servers_limit_on_idle_transactions(
    store: Store, database_url: str
) -> None:
    with store.begin_shared() as connection:
        connection.execute(
            text(f"ALTER DATABASE {store.engine.url.database} SET idle_in_transaction_session_timeout = '100ms'")
        )
    with Store(database_url) as long, Store(database_url) as other, long.exclusive("acme"):
        time.sleep(0.5)
        with pytest.raises(TenantBusyError), other.exclusive("acme", wait_seconds=0):
            pytest.fail("it was let in")


HOLDER = """
import sys, time
from verifywise_mlflow.persistence.store import Store
with Store(sys.argv[1]).exclusive("acme"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_releases_the_lock(store: Store, database_url: str) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, database_url], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TenantBusyError), store.exclusive("acme", wait_seconds=0.3):
            pytest.fail("it was let in")

        holder.kill()
        began = time.monotonic()
        with store.exclusive("acme", wait_seconds=10):
            waited = time.monotonic() - began
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout:
            holder.stdout.close()

    assert waited < 5


def test_a_lost_lock_connection_does_not_hide_the_error(store: Store) -> None:
    def lose_the_connection_and_fail() -> None:
        with store.begin_shared() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE granted AND pid <> pg_backend_pid() "
                    "AND relation = 'verifywise_mlflow.tenant_locks'::regclass AND mode = 'RowShareLock' "
                    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"), store.exclusive("acme"):
        lose_the_connection_and_fail()


def revisions(store: Store) -> dict[str, int]:
    with store.begin_shared() as connection:
        rows = connection.execute(select(registered_models.c.model_name, registered_models.c.revision))
        return {name: revision for name, revision in rows}  # noqa: C416  # a row is not a pair to dict()


def write(store: Store, *models: RegisteredModel, tenant_id: str = "acme") -> None:
    with store.begin(tenant_id) as session:
        registry.write_models(session, [ListedObject(model, f"of {model}") for model in models], NOW)


def test_each_write_gives_its_row_a_higher_revision(store: Store) -> None:
    write(store, RegisteredModel("a"), RegisteredModel("b"))
    before = revisions(store)

    write(store, RegisteredModel("a", description="new"))

    after = revisions(store)
    assert after["a"] > max(before.values())
    assert after["b"] == before["b"]


def test_an_upsert_replaces_the_row_with_the_same_key(store: Store) -> None:
    write(store, RegisteredModel("a", description="old", tags={"x": "1"}), RegisteredModel("b"))

    write(store, RegisteredModel("a", description="new\x00", aliases={"champion": 3}))

    with store.begin("acme") as session:
        models = registry.models_by_name(session, ["a", "b"])
        assert {name: row["description"] for name, row in models.items()} == {"a": "new\x00", "b": None}
        assert (models["a"]["tags"], models["a"]["aliases"]) == ({}, {"champion": 3})
        assert registry.aliases_by_version(session) == {("a", 3): ["champion"]}


def test_an_upsert_does_not_change_another_tenants_row_of_the_same_name(store: Store) -> None:
    write(store, RegisteredModel("a", description="theirs"), tenant_id="globex")

    write(store, RegisteredModel("a", description="ours"))

    with store.begin("globex") as session:
        assert registry.models_by_name(session, ["a"])["a"]["description"] == "theirs"


def test_more_rows_than_one_batch_are_all_written(store: Store) -> None:
    write(store, *(RegisteredModel(f"m{number}") for number in range(1_203)))

    stored_revisions = revisions(store)
    assert len(stored_revisions) == len(set(stored_revisions.values())) == 1_203


def test_a_tombstone_draws_a_revision_and_a_later_write_removes_it(store: Store) -> None:
    write(store, RegisteredModel("a"))
    first = revisions(store)["a"]
    with store.begin("acme") as session:
        registry.mark_models_deleted(session, ["a"], NOW)
    tombstone_revision = revisions(store)["a"]
    with store.begin("acme") as session:
        was_deleted = registry.stored_models(session)["a"].is_deleted

    write(store, RegisteredModel("a"))

    with store.begin("acme") as session:
        assert was_deleted
        assert not registry.stored_models(session)["a"].is_deleted
    assert first < tombstone_revision < revisions(store)["a"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_the_last_possible_time_is_read_in_utc_in_any_server_zone(store: Store, database_url: str, zone: str) -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    with store.begin_shared() as connection:
        connection.execute(
            text(f"ALTER ROLE CURRENT_USER IN DATABASE {store.engine.url.database} SET timezone = '{zone}'")
        )
    other_zone_store = Store(database_url)
    write(other_zone_store, RegisteredModel("a", created_at=last, last_updated_at=NOW))

    with other_zone_store.begin("acme") as session:
        row = registry.models_by_name(session, ["a"])["a"]
    other_zone_store.close()

    assert row["created_at"] == last
    assert str(row["last_updated_at"]) == "2026-01-02 03:04:05.678000+00:00"
