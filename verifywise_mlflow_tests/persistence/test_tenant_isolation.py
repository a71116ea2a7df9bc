"""Roles try to read and write another tenant's rows, and row-level security refuses."""

from __future__ import annotations

import io
from contextlib import closing

import psycopg2
import pytest

from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow_tests.persistence.row_factories import ROWS, insert
from verifywise_mlflow_tests.persistence.tenant_isolation_fixture import (
    OWN_TENANT,
    IsolatedTenants,
    count_rows,
    logged_in,
    query,
    tenant_relations,
    visible_rows,
)
from verifywise_mlflow_tests.support.login_roles import login_role, new_name

SHARED = {"tenants", "change_hints"}
"""The tables that a pipeline reads for all tenants: which tenants exist, and which tenants have changed."""


def test_a_reader_sees_only_its_tenant_in_every_table_and_view(
    isolated: IsolatedTenants,
) -> None:
    with logged_in(isolated.owner) as owner:
        expected = {
            name: {OWN_TENANT: rows_by_tenant[OWN_TENANT]} for name, rows_by_tenant in visible_rows(owner).items()
        }

    with logged_in(isolated.reader.url) as reader:
        rows_by_tenant = visible_rows(reader)
        grants = query(reader, "SELECT role_name, tenant_id FROM verifywise_mlflow.role_grants")

    assert len(expected) > 20
    assert rows_by_tenant == expected
    shared = {(isolated.pipeline.name, None), (isolated.listener.name, None)}
    assert set(grants) == {(isolated.reader.name, OWN_TENANT), *shared}


def test_a_pipeline_sees_its_current_tenant_the_list_of_tenants_and_all_hints(isolated: IsolatedTenants) -> None:
    with logged_in(isolated.owner) as owner:
        rows = visible_rows(owner)

    with logged_in(isolated.pipeline.url, OWN_TENANT) as pipeline:
        assert visible_rows(pipeline) == {
            name: by_tenant if name in SHARED else {OWN_TENANT: by_tenant[OWN_TENANT]}
            for name, by_tenant in rows.items()
        }


@pytest.mark.parametrize("tenant", [None, "", "nobody", "%", "acme' OR true --"])
def test_a_pipeline_without_a_current_tenant_sees_only_the_list_of_tenants_and_all_hints(
    isolated: IsolatedTenants, tenant: str | None
) -> None:
    with closing(psycopg2.connect(isolated.pipeline.url)) as pipeline, pipeline.cursor() as cursor:
        if tenant is not None:
            cursor.execute("SELECT set_config('verifywise_mlflow.tenant', %s, true)", [tenant])
        visible = visible_rows(pipeline)

    assert {name for name, rows in visible.items() if rows} == SHARED


def test_a_role_with_privileges_but_no_grant_sees_no_row_of_a_tenant(isolated: IsolatedTenants) -> None:
    with logged_in(isolated.ungranted.url, OWN_TENANT) as connection:
        assert {name for name, rows in visible_rows(connection).items() if rows} == set()
        assert query(connection, "SELECT * FROM verifywise_mlflow.role_grants WHERE tenant_id IS NOT NULL") == []
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
            insert(connection, "registered_models", OWN_TENANT)


def test_a_role_without_privileges_cannot_query(isolated: IsolatedTenants) -> None:
    with (
        login_role(isolated.owner, new_name("nobody")) as unprivileged_role,
        logged_in(unprivileged_role.url) as connection,
    ):
        for relation in ("audit_trail", "audit_entries", "alembic_version", "role_grants"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                query(connection, f"SELECT * FROM verifywise_mlflow.{relation}")
            connection.rollback()


STILL_OURS = {
    "the setting of pipelines": ["SET verifywise_mlflow.tenant = 'globex'"],
    "the setting, for this transaction": ["SELECT set_config('verifywise_mlflow.tenant', 'globex', true)"],
    # If the policy's function resolved the operator = by the caller's search_path, no role would count as a reader.
    "an operator of its own": [
        "CREATE FUNCTION den.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR den.= (LEFTARG = text, RIGHTARG = text, FUNCTION = den.never)",
        "CREATE FUNCTION den.always(text, name) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "CREATE OPERATOR den.= (LEFTARG = text, RIGHTARG = name, FUNCTION = den.always)",
        "SET search_path = den, pg_catalog",
        "SET verifywise_mlflow.tenant = 'globex'",
    ],
    "a table access of its own": [
        "CREATE TEMP TABLE access (role_name text, kind text, tenant_id text)",
        "INSERT INTO access VALUES (current_user, 'pipeline', NULL), (current_user, 'reader', 'globex')",
        "SET search_path = pg_temp, den",
        "SET verifywise_mlflow.tenant = 'globex'",
    ],
    "a view of its own": [
        "CREATE VIEW den.all_entries AS SELECT * FROM verifywise_mlflow.audit_trail",
        "SET verifywise_mlflow.tenant = 'globex'",
    ],
}


@pytest.mark.parametrize("attack", STILL_OURS)
def test_no_permitted_statement_moves_a_reader_to_another_tenant(isolated: IsolatedTenants, attack: str) -> None:
    with logged_in(isolated.reader.url) as reader:
        relations_by_name = tenant_relations(reader)  # the role's own operators would mislead this query, too
        for statement in STILL_OURS[attack]:
            query(reader, statement)

        assert {
            name: set(rows_by_tenant) for name, rows_by_tenant in visible_rows(reader, relations_by_name).items()
        } == {name: {OWN_TENANT} for name in relations_by_name}
        assert query(reader, "SELECT verifywise_mlflow.current_tenant()") == [(OWN_TENANT,)]


REFUSED_TO_READERS = [
    "SET row_security = off; SELECT * FROM verifywise_mlflow.audit_trail",
    "SET ROLE {owner}",
    "SET ROLE {pipeline}",
    "SET SESSION AUTHORIZATION {pipeline}",
    "GRANT {pipeline} TO CURRENT_USER",
    "UPDATE verifywise_mlflow.role_grants SET tenant_id = 'globex'",
    "UPDATE verifywise_mlflow.role_grants SET kind = 'pipeline', tenant_id = NULL",
    "DELETE FROM verifywise_mlflow.role_grants",
    "INSERT INTO verifywise_mlflow.canonical_records SELECT * FROM verifywise_mlflow.canonical_records",
    "UPDATE verifywise_mlflow.version_verdicts SET verdicts[1] = 'pass'",
    "DELETE FROM verifywise_mlflow.version_verdicts",
    "SELECT * FROM verifywise_mlflow.canonical_records FOR UPDATE",
    "SELECT nextval('verifywise_mlflow.revisions')",
    "SELECT last_value FROM verifywise_mlflow.revisions",
    "COPY verifywise_mlflow.audit_trail FROM '/dev/null'",
    "COPY verifywise_mlflow.audit_trail TO '/tmp/trail'",
    "COPY verifywise_mlflow.audit_trail TO PROGRAM 'cat'",
    "SELECT pg_read_file('postgresql.conf')",
    "CREATE TABLE verifywise_mlflow.mine (id int)",
    "CREATE POLICY mine ON verifywise_mlflow.audit_trail USING (true)",
    "CREATE TABLE den.child () INHERITS (verifywise_mlflow.audit_trail)",
    "CREATE TABLE den.child (id text REFERENCES verifywise_mlflow.tenants (tenant_id))",
    "CREATE TRIGGER mine AFTER INSERT ON verifywise_mlflow.audit_trail EXECUTE FUNCTION den.anything()",
]


@pytest.mark.parametrize("statement", REFUSED_TO_READERS)
def test_a_reader_is_refused(isolated: IsolatedTenants, statement: str) -> None:
    owner = psycopg2.extensions.parse_dsn(isolated.owner)["user"]
    with logged_in(isolated.reader.url) as reader, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        query(reader, statement.format(owner=owner, pipeline=isolated.pipeline.name))


def test_a_copy_holds_only_the_readers_rows(isolated: IsolatedTenants) -> None:
    copied = io.StringIO()
    with logged_in(isolated.reader.url) as reader, reader.cursor() as cursor:
        cursor.copy_expert("COPY verifywise_mlflow.audit_trail TO STDOUT", copied)

    assert {line.split("\t")[0] for line in copied.getvalue().splitlines()} == {OWN_TENANT}


def test_neither_a_function_in_a_query_nor_statistics_leak_other_tenants_rows(
    isolated: IsolatedTenants,
) -> None:
    with logged_in(isolated.reader.url) as reader:
        query(
            reader,
            "CREATE FUNCTION den.tell(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS "
            "$$ BEGIN RAISE NOTICE 'told %', $1; RETURN true; END $$",
        )
        query(reader, "SELECT * FROM verifywise_mlflow.audit_entries WHERE den.tell(tenant_id)")
        leaked_tenants = {notice.split("told ")[1].strip() for notice in reader.notices}
        statistics = query(
            reader, "SELECT * FROM pg_stats WHERE schemaname = 'verifywise_mlflow' AND attname = 'tenant_id'"
        )

    assert leaked_tenants == {OWN_TENANT}
    assert statistics == []


# The trigger's function runs with the owner's rights. On a table that the role owns, it would write a false history.
DEFINER_FUNCTION = """
    CREATE TEMP TABLE borrowed (LIKE verifywise_mlflow.version_verdicts);
    CREATE TRIGGER borrowed BEFORE UPDATE ON borrowed
    FOR EACH ROW EXECUTE FUNCTION verifywise_mlflow.save_former_verdicts();
"""

REFUSED_TO_PIPELINES = [
    DEFINER_FUNCTION,
    "ALTER TABLE verifywise_mlflow.audit_trail DISABLE TRIGGER ALL",
    "ALTER TABLE verifywise_mlflow.audit_trail DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE verifywise_mlflow.canonical_records DISABLE TRIGGER save_former_record",
    "DROP TRIGGER append_only ON verifywise_mlflow.audit_trail",
    "DROP TABLE verifywise_mlflow.audit_trail",
    "DROP POLICY tenant_isolation ON verifywise_mlflow.audit_trail",
    "DROP SCHEMA verifywise_mlflow CASCADE",
    "SET session_replication_role = replica",
    "SET row_security = off; SELECT * FROM verifywise_mlflow.audit_trail",
    "CREATE TABLE verifywise_mlflow.mine (id int)",
    "CREATE OR REPLACE FUNCTION verifywise_mlflow.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$",
    "SELECT setval('verifywise_mlflow.revisions', 1)",
    "UPDATE verifywise_mlflow.alembic_version SET version_num = '0001'",
    "UPDATE verifywise_mlflow.role_grants SET kind = 'reader', tenant_id = 'globex'",
    "INSERT INTO verifywise_mlflow.role_grants VALUES ('mine', 'pipeline', NULL, now(), 'me', 'me')",
]


@pytest.mark.parametrize("statement", REFUSED_TO_PIPELINES)
def test_a_pipeline_is_refused(isolated: IsolatedTenants, statement: str) -> None:
    with logged_in(isolated.pipeline.url, OWN_TENANT) as pipeline, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        query(pipeline, statement)


@pytest.mark.parametrize("table", ["canonical_records", "version_verdicts", "compliance_badges"])
def test_a_pipelines_own_types_do_not_run_code_as_the_owner(isolated: IsolatedTenants, table: str) -> None:
    with logged_in(isolated.pipeline.url, OWN_TENANT) as pipeline, pipeline.cursor() as cursor:
        cursor.execute("""
            CREATE FUNCTION pg_temp.note(pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'code of %', current_user;
            END $$;
            CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.note(VALUE));
            CREATE DOMAIN pg_temp.boolean AS pg_catalog.bool CHECK (pg_temp.note(VALUE::pg_catalog.text));
            CREATE DOMAIN pg_temp.timestamptz AS pg_catalog.timestamptz CHECK (pg_temp.note(VALUE::pg_catalog.text))
        """)
        column = {"canonical_records": "owner", "compliance_badges": "badge"}.get(table, "verdicts[1]")

        cursor.execute(f"UPDATE verifywise_mlflow.{table} SET {column} = 'changed'")
        cursor.execute(f"DELETE FROM verifywise_mlflow.{table}" if table == "version_verdicts" else "SELECT 1")

        pipeline.rollback()


def test_a_pipeline_writes_no_row_of_another_tenant_into_any_table(isolated: IsolatedTenants) -> None:
    attempts = 0
    for table, privileges in role_grants.PIPELINE_PRIVILEGES.items():
        with logged_in(isolated.pipeline.url, "initech") as pipeline:
            if "INSERT" in privileges:
                attempts += 1
                with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="row-level security"):
                    insert(pipeline, table, "hooli")
    assert attempts > 15


def test_a_pipeline_can_neither_move_rows_to_another_tenant_nor_change_its_rows(isolated: IsolatedTenants) -> None:
    for table, privileges in role_grants.PIPELINE_PRIVILEGES.items():
        if "UPDATE" not in privileges:
            continue
        with logged_in(isolated.pipeline.url, OWN_TENANT) as pipeline, pipeline.cursor() as cursor:
            cursor.execute(f"UPDATE verifywise_mlflow.{table} SET tenant_id = tenant_id WHERE tenant_id = 'globex'")
            assert cursor.rowcount == 0
            # A trigger guards the terms of a waiver, including the tenant. The trigger runs first.
            with pytest.raises(psycopg2.Error, match="only be ended" if table == "waivers" else "row-level security"):
                cursor.execute(f"UPDATE verifywise_mlflow.{table} SET tenant_id = 'hooli'")


def test_a_pipeline_deletes_only_its_tenants_verdicts_and_the_history_saves_them(
    isolated: IsolatedTenants,
) -> None:
    with logged_in(isolated.pipeline.url, OWN_TENANT) as pipeline, pipeline.cursor() as cursor:
        cursor.execute("DELETE FROM verifywise_mlflow.version_verdicts")
        assert cursor.rowcount == ROWS
        assert count_rows(pipeline, "version_verdict_history", OWN_TENANT) == 2 * ROWS
