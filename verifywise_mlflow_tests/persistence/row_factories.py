"""Factories of rows for every table in the catalog, so that a new table is covered automatically."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypeAlias

import psycopg2.extensions
from psycopg2 import sql
from psycopg2.extras import Json

from verifywise_mlflow.audit.chain import ChainLink, make_link

HOSTILE = '\'; DROP SCHEMA verifywise_mlflow CASCADE; -- "%s" %(x)s :x \\ {} ␀ ␛␛ ␛d800 ü 模型 🙂\n\t<b>'
ROWS = 2
"""Rows of each tenant in each table."""
REVISION_TABLE = "alembic_version"

PgConnection: TypeAlias = psycopg2.extensions.connection


def relations(connection: PgConnection, *kinds: str) -> list[str]:
    """Return the names of the schema's tables (``r``) and views (``v``), without Alembic's table."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'verifywise_mlflow'::regnamespace"
            " AND relkind::text = ANY(%s) AND relname <> %s ORDER BY 1",
            [list(kinds), REVISION_TABLE],
        )
        return [str(name) for (name,) in cursor.fetchall()]


def fill(connection: PgConnection, tenant_id: str) -> None:
    """Insert rows of a tenant into every table."""
    for table in relations(connection, "r"):
        insert(connection, table, tenant_id)


def insert(connection: PgConnection, table: str, tenant_id: str) -> None:
    """Insert rows of a tenant into a table. If several rows have the same key, insert the first of them."""
    for row in _rows(table, _columns(connection, table), tenant_id):
        statement = sql.SQL("INSERT INTO verifywise_mlflow.{} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join(sql.Placeholder() * len(row)),
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, list(row.values()))


def _columns(connection: PgConnection, table: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass"
            " AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attgenerated = '' ORDER BY attnum",
            [f"verifywise_mlflow.{table}"],
        )
        return dict(cursor.fetchall())


def _rows(table: str, columns: dict[str, str], tenant_id: str) -> Iterator[dict[str, object]]:
    link: ChainLink | None = None
    for number in range(1, ROWS + 1):
        row = {name: _value(name, type_, number) for name, type_ in columns.items()} | {"tenant_id": tenant_id}
        if "rule_versions" in columns:
            row |= {
                "rule_versions": str(number),
                "days": "",
                **dict.fromkeys(("values", "origins", "thresholds"), "{}"),
            }
        if table == "audit_trail" and "entry" in columns:
            entry_fields = {
                "occurred_at": str(_TIME),
                "kind": f"kind {number}",
                "counts": {"n": number},
                "reason": HOSTILE,
            }
            link = make_link({**entry_fields, "tenant_id": tenant_id}, link)
            row |= {"sequence": link.sequence, "entry": link.text, "entry_hash": link.hash}
        if table in ("canonical_record_history", "prompt_version_history", "agent_history"):
            row["revision"] = 1_000_000 + number  # not the revision of a current row, which the trigger copies here
        if table == "change_hints":
            row |= {"object_kind": "model"}
        if table == "webhook_deliveries":
            row |= {"object_names": Json([HOSTILE])}
        if table == "role_grants":
            row |= {"role_name": f"role {number} of {tenant_id} {HOSTILE}", "kind": "reader"}
        yield row


_TIME = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def _value(name: str, type_: str, number: int) -> object:
    if type_.endswith("[]"):
        return [_value(name, type_.removesuffix("[]"), number)]
    if type_ == "text":
        return f"{name} {number} {HOSTILE}"
    if type_ in ("json", "jsonb"):
        return Json({HOSTILE: [number, None, True, 1e300, {"location": HOSTILE}], "location": f"s3://{number}"})
    if type_ == "timestamp with time zone":
        return _TIME
    if type_ == "date":
        return _TIME.date()
    return {"integer": number, "bigint": number, "boolean": number % 2 == 0}[type_]
