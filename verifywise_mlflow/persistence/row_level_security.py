"""Checks row-level security: each table with a tenant must have the policies of the migrations, and no others.

A policy that is permissive allows rows in addition to those that other policies allow. So one more policy can show a
reader the rows of every tenant.
"""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy import Connection, text

from verifywise_mlflow.persistence.sql_identifiers import quoted_identifier
from verifywise_mlflow.persistence.tables import SCHEMA, metadata

_KIND_OF_ROLE: Final = f"(SELECT kind = 'pipeline' FROM {SCHEMA}.role_grants WHERE role_name = current_user)"  # noqa: S608  # a constant
_OF_TENANT: Final = f"USING (tenant_id = (SELECT {SCHEMA}.current_tenant()))"

POLICIES: Final = {
    ("role_grants", "own_and_shared_grants"): "FOR SELECT USING (role_name = current_user OR tenant_id IS NULL)",
    **{
        (table.name, "tenant_isolation"): f"FOR ALL {_OF_TENANT}"
        for table in metadata.tables.values()
        if "tenant_id" in table.c and table.name != "role_grants"
    },
    ("tenants", "visible_to_pipelines"): f"FOR SELECT USING ({_KIND_OF_ROLE})",
    ("change_hints", "visible_to_pipelines"): f"FOR SELECT USING ({_KIND_OF_ROLE})",
}
"""The policies by table and name: the clauses after the table."""


def row_level_security_problems(connection: Connection) -> list[str]:
    """Return how row-level security differs from this release's, as texts without a period. Any role may call this."""
    stored = _stored_policies(connection)
    protected = {table for table, _ in POLICIES}
    missing = {key: clauses for key, clauses in POLICIES.items() if key not in stored}
    changed = [key for key, clauses in POLICIES.items() if key in stored and stored[key] != _normalized(clauses)]
    foreign = [(table, name) for table, name in stored if table in protected and (table, name) not in POLICIES]
    return [
        *(
            f"row-level security of {table} is off: enable it with "
            f"ALTER TABLE {SCHEMA}.{table} ENABLE ROW LEVEL SECURITY"
            for table in sorted(protected & _open_tables(connection))
        ),
        *(
            f"the policy {name} of {table} is missing: restore it with "
            f"CREATE POLICY {name} ON {SCHEMA}.{table} {clauses}"
            for (table, name), clauses in missing.items()
        ),
        *(
            f"the policy {name} of {table} is not as this release created it: drop it, and restore it with "
            f"CREATE POLICY {name} ON {SCHEMA}.{table} {POLICIES[table, name]}"
            for table, name in changed
        ),
        *(
            f"the policy {quoted_identifier(name)} of {table} is not ours: it could show rows of other tenants"
            for table, name in foreign
        ),
    ]


def _open_tables(connection: Connection) -> set[str]:
    query = text("""
        SELECT relname FROM pg_class
        WHERE relnamespace = CAST(:schema AS regnamespace) AND relkind = 'r' AND NOT relrowsecurity
    """)
    return set(connection.scalars(query, {"schema": SCHEMA}))


def _stored_policies(connection: Connection) -> dict[tuple[str, str], str]:
    query = text("""
        SELECT tablename, policyname, concat(
            CASE permissive WHEN 'RESTRICTIVE' THEN 'AS RESTRICTIVE ' END, 'FOR ', cmd,
            CASE WHEN roles <> ARRAY[CAST('public' AS name)] THEN concat(' TO ', array_to_string(roles, ', ')) END,
            ' USING ', qual, ' WITH CHECK ' || with_check
        ) AS clauses
        FROM pg_policies WHERE schemaname = :schema ORDER BY tablename, policyname
    """)
    rows = connection.execute(query, {"schema": SCHEMA})
    return {(row.tablename, row.policyname): _normalized(row.clauses) for row in rows}


def _normalized(clauses: str) -> str:
    """Return clauses without what Postgres adds when it writes an expression.

    It adds parentheses, types, the names of tables and columns, and the schema, if the schema is not in search_path.
    """
    without_names = re.sub(
        rf"\b(?:{re.escape(SCHEMA)}|role_grants)\.|::text| AS (?:current_tenant|kind)\b", "", clauses
    )
    return " ".join(re.sub(r"[()]", " ", without_names).lower().split())
