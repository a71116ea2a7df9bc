"""From every revision that there was, with rows in all its tables, to the newest: nothing is lost, nothing differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from verifywise_mlflow.demo.servers.postgres import EmbeddedPostgres
from verifywise_mlflow.persistence import database, role_grants
from verifywise_mlflow.persistence.database import connect
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import SCHEMA, metadata
from verifywise_mlflow_tests.persistence.any_rows import ROWS, PgConnection, fill, relations
from verifywise_mlflow_tests.persistence.login_roles import login_role, new_database, new_name
from verifywise_mlflow_tests.persistence.test_store import NOW

MIGRATIONS = Path(database.__file__).parent / "migrations"
TENANTS = ("acme", "globex")
BY_TRIGGERS = (
    *("canonical_record_history", "compliance_result_history", "compliance_badge_history"),
    "compliance_counts",
)
"""Tables that get their rows by changes of others."""
Rows = Mapping[str, list[Mapping[str, object]]]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


REVISIONS = sorted(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def build(url: str, revision: str) -> None:
    """Make the schema as it was at a revision."""
    engine = connect(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def kept(connection: PgConnection) -> Rows:
    """Return all rows of all tables, as JSON."""
    found = {}
    with connection.cursor() as cursor:
        for table in relations(connection, "r"):
            cursor.execute(f"SELECT to_jsonb(t) FROM {SCHEMA}.{table} AS t")
            found[table] = sorted((row for (row,) in cursor.fetchall()), key=lambda row: json.dumps(row))
    return found


def parts(rows: list[Mapping[str, object]], names: set[str]) -> list[str]:
    """Return some columns of rows, to be compared whatever the rows' order."""
    return sorted(json.dumps({name: row[name] for name in names}, sort_keys=True) for row in rows)


def described(connection: PgConnection) -> dict[str, list[object]]:
    """Return what the catalogue says of everything in the schema."""
    of_schema = "relnamespace = 'verifywise'::regnamespace"
    questions = {
        "tables": f"SELECT relname, relkind, relrowsecurity, reloptions, relacl::text FROM pg_class WHERE {of_schema}",
        "columns": "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, "
        "attidentity, pg_get_expr(adbin, adrelid) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        f"LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE {of_schema} AND attnum > 0 "
        "AND NOT attisdropped",
        "indexes": "SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON oid = indrelid "
        f"WHERE {of_schema}",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'verifywise'::regnamespace",
        "triggers": "SELECT pg_get_triggerdef(pg_trigger.oid), tgenabled FROM pg_trigger JOIN pg_class "
        f"ON pg_class.oid = tgrelid WHERE {of_schema}",
        "functions": "SELECT pg_get_functiondef(oid), proacl::text FROM pg_proc "
        "WHERE pronamespace = 'verifywise'::regnamespace",
        "views": f"SELECT relname, pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' AND {of_schema}",
        "policies": "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies "
        "WHERE schemaname = 'verifywise'",
    }
    with connection.cursor() as cursor:
        answers = {}
        for what, question in questions.items():
            cursor.execute(question)
            answers[what] = sorted(cursor.fetchall(), key=repr)
    return answers


@pytest.fixture(scope="module")
def fresh(postgres: EmbeddedPostgres) -> Iterator[dict[str, list[object]]]:
    """What a schema that was never anything else looks like."""
    with new_database(postgres) as url:
        database.upgrade(url)
        with closing(psycopg2.connect(url)) as connection:
            yield described(connection)


@pytest.mark.parametrize("revision", REVISIONS)
def test_nothing_is_lost_on_the_way_from_a_revision_and_the_schema_ends_as_a_fresh_one(
    revision: str, database_url: str, fresh: dict[str, list[object]]
) -> None:
    build(database_url, revision)
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        for tenant in TENANTS:
            fill(connection, tenant)
        before = kept(connection)
        assert all(before.values())

        database.upgrade(database_url)

        after = kept(connection)
        for table, rows in before.items():
            same = rows[0].keys() & after[table][0].keys()
            assert parts(after[table], set(same)) == parts(rows, set(same)), table
            gone = rows[0].keys() - same
            assert not gone or table == "audit_trail", f"{table} lost {gone}"
        if revision < "0005":
            assert_the_trail_is_told_as_before(connection, before["audit_trail"])
        assert described(connection) == fresh
        assert_former_states_are_kept_and_the_trail_is_not_changed(connection)
    assert_the_code_describes_these_tables(database_url)
    assert_a_reader_sees_its_tenant_and_no_other(database_url, {*before, *BY_TRIGGERS, "access"})


def assert_the_trail_is_told_as_before(connection: PgConnection, before: list[Mapping[str, object]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT to_jsonb(t) FROM {SCHEMA}.audit_entries AS t")
        after = [row for (row,) in cursor.fetchall()]
    assert parts(after, set(before[0]) - {"entry_id"}) == parts(before, set(before[0]) - {"entry_id"})


def assert_former_states_are_kept_and_the_trail_is_not_changed(connection: PgConnection) -> None:
    changes = {
        "canonical_records": "owner = 'new', fingerprint = 'new', sync_id = 'new'",
        "compliance_results": "verdict = 'new', sync_id = 'new'",
        "compliance_badges": "badge = 'new', sync_id = 'new'",
    }
    with connection.cursor() as cursor:
        for table, change in changes.items():
            former = table.removesuffix("s") + "_history"
            cursor.execute(f"SELECT count(*) FROM {SCHEMA}.{former}")
            (count,) = cursor.fetchone() or (0,)
            cursor.execute(f"UPDATE {SCHEMA}.{table} SET {change}")
            cursor.execute(f"SELECT count(*) FROM {SCHEMA}.{former}")
            assert cursor.fetchone() == (count + len(TENANTS) * ROWS,)
        for statement in ("UPDATE {}.audit_trail SET entry = '{{}}'", "DELETE FROM {}.audit_trail"):
            with pytest.raises(psycopg2.errors.IntegrityConstraintViolation, match="append-only"):
                cursor.execute(statement.format(SCHEMA))


def assert_the_code_describes_these_tables(url: str) -> None:
    engine = connect(url)
    with engine.connect() as connection:
        options = {
            "include_schemas": True,
            "version_table_schema": SCHEMA,
            "compare_type": True,
            "compare_server_default": False,  # Postgres writes nextval() in other words than SQLAlchemy
            "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
        }
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    engine.dispose()


def assert_a_reader_sees_its_tenant_and_no_other(url: str, tables: set[str]) -> None:
    with login_role(url, new_name("reader")) as role:
        with Store(url) as store, store.begin_shared() as connection:
            role_grants.grant(connection, role.name, "reader", "acme", NOW)
        with closing(psycopg2.connect(role.url)) as connection:
            seen = kept(connection)
    assert {row["tenant_id"] for rows in seen.values() for row in rows} == {"acme"}
    assert {table for table, rows in seen.items() if rows} == tables
