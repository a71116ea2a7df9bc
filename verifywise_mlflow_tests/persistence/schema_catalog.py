"""Our schema in Postgres' catalog, and its differences from the table definitions in the code."""

from __future__ import annotations

import json
from collections.abc import Mapping

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from verifywise_mlflow.persistence.tables import SCHEMA, metadata
from verifywise_mlflow_tests.persistence.row_factories import PgConnection, relations

Rows = Mapping[str, list[Mapping[str, object]]]


def differences_from_code(connection: Connection) -> list[object]:
    """Return what differs between the schema in the database and the table definitions in the code."""
    options = {
        "include_schemas": True,
        "version_table_schema": SCHEMA,
        "compare_type": True,
        "compare_server_default": False,  # Postgres spells nextval() differently from SQLAlchemy
        "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
    }
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))


def all_rows(connection: PgConnection, excluding: str = "") -> Rows:
    """Return all rows of all tables except one table, as JSON."""
    rows = {}
    with connection.cursor() as cursor:
        for table in relations(connection, "r"):
            if table == excluding:
                continue
            cursor.execute(f"SELECT to_jsonb(t) FROM {SCHEMA}.{table} AS t")
            rows[table] = sorted((row for (row,) in cursor.fetchall()), key=lambda row: json.dumps(row))
    return rows


def catalog(connection: PgConnection) -> dict[str, list[object]]:
    """Return the catalog's description of everything in the schema."""
    schema_condition = f"relnamespace = '{SCHEMA}'::regnamespace"
    queries = {
        "tables": "SELECT relname, relkind, relrowsecurity, reloptions, relacl::text FROM pg_class "
        f"WHERE {schema_condition}",
        "columns": "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, "
        "attidentity, pg_get_expr(adbin, adrelid) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        f"LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE {schema_condition} AND attnum > 0 "
        "AND NOT attisdropped",
        "indexes": "SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON oid = indrelid "
        f"WHERE {schema_condition}",
        "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        f"WHERE connamespace = '{SCHEMA}'::regnamespace",
        "triggers": "SELECT pg_get_triggerdef(pg_trigger.oid), tgenabled FROM pg_trigger JOIN pg_class "
        f"ON pg_class.oid = tgrelid WHERE {schema_condition}",
        "functions": "SELECT pg_get_functiondef(oid), proacl::text FROM pg_proc "
        f"WHERE pronamespace = '{SCHEMA}'::regnamespace",
        "views": f"SELECT relname, pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' AND {schema_condition}",
        "policies": "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies "
        f"WHERE schemaname = '{SCHEMA}'",
    }
    with connection.cursor() as cursor:
        entries: dict[str, list[object]] = {}
        for subject, query in queries.items():
            cursor.execute(query)
            entries[subject] = sorted(cursor.fetchall(), key=repr)
    return entries
