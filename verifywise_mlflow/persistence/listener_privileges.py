"""Checks that the current role has the privileges that the listener needs, and cannot read the records of tenants."""

from __future__ import annotations

from sqlalchemy import Connection, text

from verifywise_mlflow.persistence.role_grants import LISTENER_PRIVILEGES, rls_bypass_reason
from verifywise_mlflow.persistence.tables import SCHEMA


def missing_privileges(connection: Connection) -> list[str]:
    """Return the tables on which the current role lacks a privilege that the listener needs."""
    query = text(
        """
        SELECT DISTINCT name
        FROM unnest(CAST(:tables AS text[]), CAST(:privileges AS text[])) AS needed (name, privilege)
        WHERE NOT has_table_privilege(:schema || '.' || name, privilege) ORDER BY name
        """
    )
    needed = [(table, privilege) for table, privileges in LISTENER_PRIVILEGES.items() for privilege in privileges]
    tables, privileges = map(list, zip(*needed, strict=True))
    return list(connection.scalars(query, {"schema": SCHEMA, "tables": tables, "privileges": privileges}))


def excess_privilege(connection: Connection) -> str | None:
    """Return how the current role may read the records of tenants, as the end of a sentence; None if it may not."""
    if reason := rls_bypass_reason(connection):
        return f"{reason}, so it may read and write all tenants"
    query = text("SELECT has_table_privilege(:table, 'SELECT')")
    if connection.scalar(query, {"table": f"{SCHEMA}.canonical_records"}):
        return "may read the records of tenants"
    return None
