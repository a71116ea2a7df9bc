"""Abilities of a reader, beyond reading its tenant, with which it could stall syncs or fill the disk.

Postgres grants most of these abilities to every role, through PUBLIC. All products in the database share the rights of
PUBLIC, so an operator revokes these rights, with the statements that this module returns. ``db grant`` only limits the
connections of a reader's role, if permitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from verifywise_mlflow.persistence.errors import error_code
from verifywise_mlflow.persistence.sql_identifiers import quoted_identifier
from verifywise_mlflow.persistence.tables import SCHEMA

READER_CONNECTION_LIMIT: Final = 5
"""The connection limit that ``db grant`` sets for a reader, if permitted and unless the role has a limit already."""

MAX_READER_SHARE: Final = 0.5
"""The share of the server's connections that all readers together may open without being reported."""

_INSUFFICIENT_PRIVILEGE = "42501"

_LARGE_OBJECTS = "^lo_(creat|create|from_bytea|import|export)$"
_ADVISORY_LOCKS = "^pg_(try_)?advisory_(xact_)?lock(_shared)?$"


@dataclass(frozen=True, slots=True)
class RoleExposure:
    """An ability that a reader has and should not have."""

    role: str
    ability: str
    """As a clause: ``may create large objects``."""
    remedy: str
    """A SQL statement, or an instruction."""
    needs: str
    """Who may run the remedy."""


def limit_connections(connection: Connection, role: str) -> None:
    """Limit a reader's connections, if the role has no limit and the current role may alter it."""
    if connection.scalar(text("SELECT rolconnlimit FROM pg_roles WHERE rolname = :role"), {"role": role}) != -1:
        return
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(_limit_statement(role), execution_options={"no_parameters": True})
    except ProgrammingError as error:
        if error_code(error) != _INSUFFICIENT_PRIVILEGE:
            raise  # otherwise `reader_exposures` returns the statement as a remedy


def reader_exposures(connection: Connection, role: str | None = None) -> list[RoleExposure]:
    """Return what readers can do although they should not: for each reader, or only for ``role``.

    Any role that may use the schema may call this.
    """
    readers = [name for name in _readers(connection) if role in (None, name)]
    return [exposure for name in readers for exposure in _exposures(connection, name)]


def _readers(connection: Connection) -> list[str]:
    """Return the roles that may read the audit trail but not add to it, except superusers and Postgres' own roles."""
    query = text(
        """
        SELECT rolname FROM pg_roles
        WHERE NOT rolsuper AND rolname !~ '^pg_' AND has_table_privilege(oid, CAST(:table AS regclass), 'SELECT')
            AND NOT has_table_privilege(oid, CAST(:table AS regclass), 'INSERT')
        ORDER BY rolname
        """
    )
    return list(connection.scalars(query, {"table": f"{SCHEMA}.audit_trail"}))


def _exposures(connection: Connection, role: str) -> Iterator[RoleExposure]:
    name, superuser = quoted_identifier(role), "a superuser"
    database = str(connection.scalar(text("SELECT current_database()")))
    limits = connection.execute(
        text("SELECT rolconnlimit, current_setting('max_connections')::int FROM pg_roles WHERE rolname = :role"),
        {"role": role},
    ).one()
    if limits[0] == -1:
        yield RoleExposure(
            role,
            "may open any number of connections, so that none are left for syncs",
            _limit_statement(role),
            "a role with CREATEROLE and the ADMIN option on it",
        )
    elif (share := _connections_of(connection, _readers(connection))) > MAX_READER_SHARE * limits[1]:
        yield RoleExposure(
            role,
            f"may, with the other readers, open {share} of the server's {limits[1]} connections",
            f"Lower the readers' limits with ALTER ROLE … CONNECTION LIMIT, or raise max_connections above {2 * share}",
            superuser,
        )
    if functions := _executable(connection, role, _LARGE_OBJECTS):
        yield RoleExposure(
            role, "may write large objects, which fill the disk", _revoke_statement(functions), superuser
        )
    if functions := _executable(connection, role, _ADVISORY_LOCKS):
        yield RoleExposure(
            role,
            "may take advisory locks until the server's memory for locks is used up",
            _revoke_statement(functions),
            superuser,
        )
    for privilege in ("TEMPORARY", "CREATE"):
        query = text("SELECT has_database_privilege(:role, current_database(), :privilege)")
        if connection.scalar(query, {"role": role, "privilege": privilege}):
            kind = "temporary tables" if privilege == "TEMPORARY" else "schemas"
            yield RoleExposure(
                role,
                f"may create {kind}, which fill the disk",
                f"REVOKE {privilege} ON DATABASE {quoted_identifier(database)} FROM PUBLIC, {name}",
                "the database's owner",
            )
    query = text(
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND has_schema_privilege(:role, oid, 'CREATE')"
    )
    for schema in connection.scalars(query, {"role": role}):
        yield RoleExposure(
            role,
            f"may create tables in the schema {schema}, which fill the disk",
            f"REVOKE CREATE ON SCHEMA {quoted_identifier(schema)} FROM PUBLIC, {name}",
            "the schema's owner",
        )


def _connections_of(connection: Connection, roles: list[str]) -> int:
    query = text("SELECT sum(rolconnlimit) FROM pg_roles WHERE rolname = ANY(:roles) AND rolconnlimit > 0")
    return int(connection.scalar(query, {"roles": roles}) or 0)


def _executable(connection: Connection, role: str, pattern: str) -> list[str]:
    """Return the signatures of the server's functions that match the pattern and that the role may execute."""
    query = text(
        """
        SELECT oid::regprocedure::text FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ :pattern
            AND has_function_privilege(:role, oid, 'EXECUTE')
        ORDER BY 1
        """
    )
    return list(connection.scalars(query, {"pattern": pattern, "role": role}))


def _limit_statement(role: str) -> str:
    return f"ALTER ROLE {quoted_identifier(role)} CONNECTION LIMIT {READER_CONNECTION_LIMIT}"


def _revoke_statement(functions: list[str]) -> str:
    return f"REVOKE EXECUTE ON FUNCTION {', '.join(functions)} FROM PUBLIC"
