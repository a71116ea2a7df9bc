"""A reader blocks no sync and no command; ``db grant`` and ``db check`` report what an operator still has to revoke."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack

import psycopg2
import pytest
from psycopg2 import sql
from sqlalchemy import text
from typer.testing import CliRunner

from verifywise_mlflow.cli import app
from verifywise_mlflow.persistence import locks, role_grants
from verifywise_mlflow.persistence.errors import LockTimeoutError
from verifywise_mlflow.persistence.repositories import audit_log, config_versions, waivers
from verifywise_mlflow.persistence.role_exposures import READER_CONNECTION_LIMIT, reader_exposures
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.persistence.row_factories import relations
from verifywise_mlflow_tests.persistence.tenant_isolation_fixture import (
    OWN_TENANT,
    IsolatedTenants,
    logged_in,
    query,
)
from verifywise_mlflow_tests.support.login_roles import execute, login_role, new_name
from verifywise_mlflow_tests.support.trail_entries import NOW, entry

STRONGER_LOCKS = (
    "ROW SHARE",
    "ROW EXCLUSIVE",
    "SHARE UPDATE EXCLUSIVE",
    "SHARE",
    "SHARE ROW EXCLUSIVE",
    "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
)
"""Every mode of a table lock except ACCESS SHARE, which each SELECT takes. It conflicts with upgrades only."""


def test_a_reader_can_lock_no_table_and_no_row_that_a_sync_waits_for(isolated: IsolatedTenants) -> None:
    with logged_in(isolated.reader.url) as reader:
        for table in [*relations(reader, "r"), role_grants.REVISION_TABLE]:
            for mode in STRONGER_LOCKS:
                with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    query(reader, f"LOCK TABLE verifywise_mlflow.{table} IN {mode} MODE NOWAIT")
                reader.rollback()
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                query(reader, f"SELECT * FROM verifywise_mlflow.{table} FOR KEY SHARE")
            reader.rollback()


def test_a_reader_that_holds_every_lock_it_may_take_delays_no_sync(
    isolated: IsolatedTenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LOCK_TIMEOUT", "1s")
    with logged_in(isolated.reader.url) as reader:
        for table in role_grants.READER_TABLES:
            query(reader, f"LOCK TABLE verifywise_mlflow.{table} IN ACCESS SHARE MODE")
        query(reader, "SELECT pg_advisory_lock(1987538284)")  # the number that every transaction once waited for
        for purpose in ("", "trail ", "waivers ", "config versions "):
            query(reader, f"SELECT pg_advisory_lock(hashtextextended('verifywise_mlflow {purpose}{OWN_TENANT}', 0))")

        with (
            Store(isolated.pipeline.url) as store,
            store.exclusive(OWN_TENANT, wait_seconds=0),
            store.begin(OWN_TENANT) as session,
        ):
            waivers.lock_waivers(session)
            config_versions.record_config_version(session, "policy", "new", {}, "s1", NOW)
            audit_log.append(session, [entry(1)])


@pytest.mark.parametrize("lock", ["audit trail", "waivers", "config versions"])
def test_a_lock_that_is_not_granted_is_named_with_its_possible_holders(
    isolated: IsolatedTenants, lock: locks.TenantLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(isolated.owner) as holder, holder.begin(OWN_TENANT) as holding:
        locks.lock_tenant(holding.connection, OWN_TENANT, lock)
        monkeypatch.setattr(locks, "LOCK_TIMEOUT", "50ms")
        with (
            Store(isolated.pipeline.url) as store,
            pytest.raises(LockTimeoutError, match=f"the lock of the {lock} of acme .* no reader can") as caught,
            store.begin(OWN_TENANT) as session,
        ):
            locks.lock_tenant(session.connection, OWN_TENANT, lock)

    assert caught.value.retryable


def test_a_transaction_during_a_stalled_upgrade_ends_with_a_sentence(
    isolated: IsolatedTenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(isolated.owner) as upgrading, upgrading.engine.begin() as connection:
        locks.lock_schema(connection)
        monkeypatch.setattr(locks, "LOCK_TIMEOUT", "50ms")
        with pytest.raises(LockTimeoutError, match=r"the schema's lock .*db upgrade"), Store(isolated.pipeline.url):
            pytest.fail("it did not wait")


def test_any_other_lock_that_is_not_granted_is_a_sentence(
    isolated: IsolatedTenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(isolated.owner) as administrator, administrator.begin_shared() as connection:
        connection.execute(text("LOCK TABLE verifywise_mlflow.waivers IN ACCESS EXCLUSIVE MODE"))
        monkeypatch.setattr(locks, "LOCK_TIMEOUT", "50ms")
        with (
            Store(isolated.pipeline.url) as store,
            pytest.raises(LockTimeoutError, match=r"a lock in the database .* an administrator's session holds it"),
            store.begin(OWN_TENANT) as session,
        ):
            session.execute(text("SELECT * FROM verifywise_mlflow.waivers"))


def test_granting_limits_the_connections_and_keeps_a_limit_that_an_operator_set(isolated: IsolatedTenants) -> None:
    with (
        login_role(isolated.owner, new_name("unlimited")) as unlimited,
        login_role(isolated.owner, new_name("limited"), "CONNECTION LIMIT 1") as limited,
        Store(isolated.owner) as store,
        store.begin_shared() as connection,
    ):
        for role in (unlimited, limited):
            role_grants.grant(connection, role.name, "reader", OWN_TENANT, NOW)
        names = [unlimited.name, limited.name]
        limits = connection.scalars(
            text("SELECT rolconnlimit FROM pg_roles WHERE rolname = ANY(:names) ORDER BY rolname DESC"),
            {"names": names},
        ).all()

    assert limits == [READER_CONNECTION_LIMIT, 1]


def test_a_reader_may_open_no_more_connections_than_its_limit(isolated: IsolatedTenants) -> None:
    with ExitStack() as connections:
        for _ in range(READER_CONNECTION_LIMIT):
            connections.enter_context(logged_in(isolated.reader.url))
        with pytest.raises(psycopg2.OperationalError, match="too many connections for role"):
            psycopg2.connect(isolated.reader.url)


def test_an_owner_that_may_not_alter_the_role_is_told_the_statement(isolated: IsolatedTenants) -> None:
    with login_role(isolated.owner, new_name("owner")) as owner, login_role(isolated.owner, new_name("reader")) as role:
        schema_owner = psycopg2.extensions.parse_dsn(isolated.owner)["user"]
        with Store(isolated.owner) as store, store.begin_shared() as connection:
            connection.execute(text(f"GRANT {schema_owner} TO {owner.name}"))
            connection.execute(text(f"SET LOCAL ROLE {owner.name}"))
            role_grants.grant(connection, role.name, "reader", OWN_TENANT, NOW)
            remedies = [exposure.remedy for exposure in reader_exposures(connection, role.name)]
            connection.rollback()

    assert f'ALTER ROLE "{role.name}" CONNECTION LIMIT {READER_CONNECTION_LIMIT}' in remedies


def test_a_reader_that_may_create_tables_or_take_most_connections_is_named(isolated: IsolatedTenants) -> None:
    with Store(isolated.owner) as store, store.begin_shared() as connection:
        connection.execute(text(f'ALTER ROLE "{isolated.reader.name}" CONNECTION LIMIT 1000'))
        exposures = {exposure.ability: exposure for exposure in reader_exposures(connection, isolated.reader.name)}
        connection.rollback()

    schema = exposures["may create tables in the schema den, which fill the disk"]
    assert schema.remedy == f'REVOKE CREATE ON SCHEMA "den" FROM PUBLIC, "{isolated.reader.name}"'
    assert any(re.search(r"with the other readers, open 1\d\d\d of the server's", ability) for ability in exposures)


ATTACKS = (
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'bytes')",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
    "CREATE TEMP TABLE ballast (bytes text)",
)


def test_db_check_names_what_an_operator_has_to_revoke_and_the_statements_end_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERIFYWISE_DATABASE_URL", database_url)
    with login_role(database_url, new_name("reader")) as role:
        granted = CliRunner().invoke(app, ["db", "grant", "reader", role.name, "--tenant", OWN_TENANT, "--json"])
        exposures = json.loads(granted.stdout)["exposures"]
        printed = CliRunner().invoke(app, ["db", "check"]).output
        for statement in ATTACKS:
            with logged_in(role.url) as reader:
                query(reader, statement)

        execute(database_url, *(sql.SQL(exposure["remedy"]) for exposure in exposures))

        checked = json.loads(CliRunner().invoke(app, ["db", "check", "--json"]).stdout)
        for statement in ATTACKS:
            with logged_in(role.url) as reader, pytest.raises(psycopg2.errors.InsufficientPrivilege):
                query(reader, statement)

    assert [exposure["ability"].split(",")[0] for exposure in exposures] == [
        "may write large objects",
        "may take advisory locks until the server's memory for locks is used up",
        "may create temporary tables",
    ]
    assert all(exposure["remedy"] in printed for exposure in exposures)
    assert checked["exposures"] == []
