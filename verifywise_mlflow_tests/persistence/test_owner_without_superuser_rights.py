"""An owner of the schema who is not a superuser can erase a tenant; event triggers refuse it the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from verifywise_mlflow.persistence import erasure
from verifywise_mlflow.persistence.append_only import HISTORIES, RETAINED
from verifywise_mlflow.persistence.database import upgrade
from verifywise_mlflow.persistence.schema_protection import protection_problems
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow_tests.persistence.row_factories import fill
from verifywise_mlflow_tests.persistence.tenant_isolation_fixture import OWN_TENANT
from verifywise_mlflow_tests.support.documentation import code_blocks, read_page
from verifywise_mlflow_tests.support.login_roles import LoginRole, execute, login_role, new_name
from verifywise_mlflow_tests.support.trail_entries import NOW


def guard_of_the_page() -> str:
    (guard,) = code_blocks(read_page("explanation/append-only.md"), "sql")
    return guard


@pytest.fixture
def owner(empty_database_url: str) -> Iterator[LoginRole]:
    """An owner of the schema who is not a superuser, with rows of a tenant in every table."""
    with login_role(empty_database_url, new_name("owner")) as role:
        execute(empty_database_url, f"GRANT CREATE ON DATABASE {empty_database_url.rsplit('/', 1)[1]} TO {role.name}")
        upgrade(role.url)
        with closing(psycopg2.connect(role.url)) as connection:
            fill(connection, OWN_TENANT)
            connection.commit()
        yield role


def test_an_owner_without_superuser_rights_can_erase_and_cannot_switch_triggers_off_for_a_session(
    owner: LoginRole,
) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        execute(owner.url, "SET session_replication_role = replica")

    with Store(owner.url) as store:
        erasure.erase(store, OWN_TENANT, NOW)
        with store.begin(OWN_TENANT) as session:
            assert not erasure.count_erasable_rows(session)
            assert protection_problems(session.connection) == []


def test_an_owner_cannot_hide_the_rows_that_an_erasure_leaves(owner: LoginRole) -> None:
    for table in (*HISTORIES, *RETAINED):
        execute(owner.url, f"ALTER TABLE verifywise_mlflow.{table} FORCE ROW LEVEL SECURITY")

    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
        execute(
            owner.url,
            "INSERT INTO verifywise_mlflow.audit_trail (tenant_id, sequence, entry, entry_hash) "
            f"VALUES ('{OWN_TENANT}', 98, '{{\"kind\": \"tenant erased\"}}', 'h')",
        )


def test_the_event_trigger_of_the_page_refuses_an_owner_what_triggers_cannot(
    owner: LoginRole, empty_database_url: str
) -> None:
    execute(owner.url, "CREATE TABLE verifywise_mlflow.parent (tenant_id text NOT NULL)")
    execute(empty_database_url, guard_of_the_page())

    for statement in (
        "ALTER TABLE {}.audit_trail DISABLE TRIGGER ALL",
        # A rewrite of a table fires no trigger of its rows.
        "ALTER TABLE {}.lifecycle_events ALTER value TYPE text USING 'forged'",
        "ALTER TABLE {}.lifecycle_events DROP COLUMN value, ADD COLUMN value text DEFAULT 'forged'",
        "ALTER TABLE {}.lifecycle_events ADD COLUMN note text",
        "ALTER TABLE {}.audit_trail INHERIT verifywise_mlflow.parent",
        "CREATE TABLE {0}.child () INHERITS ({0}.audit_trail)",
        "ALTER FUNCTION {}.refuse_deletion() SET search_path = public, pg_catalog",
        "ALTER FUNCTION {}.refuse_partial_erasure() SECURITY INVOKER",
        "ALTER FUNCTION {}.write_time() VOLATILE",
        "CREATE FUNCTION {}.refuse_change(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE {}.audit_trail RENAME TO other",
        "DROP TRIGGER refuse_deletion ON {}.state_log",
        "DROP TABLE {}.lifecycle_events CASCADE",
        "DROP SCHEMA {} CASCADE",
        "CREATE OR REPLACE FUNCTION {}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN END $$",
        "CREATE RULE quiet AS ON INSERT TO {}.lifecycle_events DO INSTEAD NOTHING",
    ):
        with pytest.raises(psycopg2.errors.RaiseException, match="only a superuser may"):
            execute(owner.url, statement.format("verifywise_mlflow"))
    with pytest.raises(psycopg2.errors.RaiseException, match="only a superuser may"):
        execute(
            owner.url,
            "CREATE TEMP TABLE pg_roles AS SELECT session_user AS rolname, true AS rolsuper",
            "ALTER TABLE verifywise_mlflow.audit_trail DISABLE TRIGGER ALL",
        )
    for statement in ("DROP EVENT TRIGGER verifywise_guard_changes", "SET event_triggers = off"):
        # Before release 17, Postgres does not have this setting.
        with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.UndefinedObject)):
            execute(owner.url, statement)
    execute(owner.url, "CREATE TABLE verifywise_mlflow.mine (id int)", "DROP TABLE verifywise_mlflow.mine")
    with Store(owner.url) as store:
        erasure.erase(store, OWN_TENANT, NOW)

    execute(empty_database_url, "DROP SCHEMA verifywise_guard CASCADE")
    execute(owner.url, "ALTER TABLE verifywise_mlflow.audit_trail DISABLE TRIGGER ALL")


def test_the_event_trigger_refuses_a_rewrite_through_a_parent_that_existed_before(
    owner: LoginRole, empty_database_url: str
) -> None:
    execute(
        owner.url,
        "CREATE TABLE verifywise_mlflow.parent (value text)",
        "ALTER TABLE verifywise_mlflow.lifecycle_events INHERIT verifywise_mlflow.parent",
    )
    execute(empty_database_url, guard_of_the_page())

    with pytest.raises(psycopg2.errors.RaiseException, match="only a superuser may alter"):
        execute(owner.url, "ALTER TABLE verifywise_mlflow.parent ALTER value TYPE varchar USING 'forged'")


def test_the_default_search_path_of_the_database_does_not_mislead_the_event_trigger(
    owner: LoginRole, empty_database_url: str
) -> None:
    """The owner of a database can set it, and a superuser that connects starts with it."""
    database = empty_database_url.rsplit("/", 1)[1]
    execute(
        owner.url,
        "CREATE SCHEMA trap",
        "CREATE FUNCTION trap.pg_get_functiondef(oid) RETURNS text LANGUAGE sql AS $$ SELECT 'as expected' $$",
    )
    execute(empty_database_url, f"ALTER DATABASE {database} SET search_path = trap, pg_catalog")
    execute(empty_database_url, guard_of_the_page())

    with pytest.raises(psycopg2.errors.RaiseException, match="only a superuser may"):
        execute(
            owner.url,
            "CREATE OR REPLACE FUNCTION verifywise_mlflow.refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RETURN OLD; END $$",
        )
