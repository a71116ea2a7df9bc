"""What ``doctor`` reads from the database server: versions, clock, rights of the role, transactions that hold locks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from verifywise_mlflow.persistence.role_grants import PIPELINE_PRIVILEGES, current_role, rls_bypass_reason
from verifywise_mlflow.persistence.tables import SCHEMA


@dataclass(frozen=True, slots=True)
class LongTransaction:
    """A transaction that has been open for long and holds a lock on one of our tables."""

    process: int
    role: str
    application: str
    seconds: float
    is_idle: bool
    """Whether its session waits for its client."""


@dataclass(frozen=True, slots=True)
class RoleRights:
    """The rights of the role that this process uses."""

    role: str
    bypass: str | None
    """Why row-level security does not apply to the role, as a clause; None if row-level security applies."""
    missing: Sequence[str]
    """The privileges on tables that a sync needs and the role lacks, such as ``INSERT on audit_trail``."""


def server_version(connection: Connection) -> str:
    """Return the version of Postgres, such as ``16.4``."""
    return str(connection.scalar(text("SHOW server_version"))).partition(" ")[0]


def server_clock(connection: Connection) -> datetime:
    """Return the time of the server."""
    clock: datetime = connection.scalar(text("SELECT clock_timestamp()"))
    return clock


def role_rights(connection: Connection) -> RoleRights:
    """Return the rights of the current role, compared with the rights that ``db grant pipeline`` grants."""
    needed = [(table, privilege) for table, privileges in PIPELINE_PRIVILEGES.items() for privilege in privileges]
    held = connection.execute(
        text(
            "SELECT has_table_privilege(format('%I.%I', CAST(:schema AS text), name), privilege) "
            "FROM unnest(CAST(:names AS text[]), CAST(:privileges AS text[])) "
            "WITH ORDINALITY AS n (name, privilege, i) ORDER BY i"
        ),
        {"schema": SCHEMA, "names": [table for table, _ in needed], "privileges": [right for _, right in needed]},
    ).scalars()
    missing = [
        f"{privilege} on {table}" for (table, privilege), is_held in zip(needed, held, strict=True) if not is_held
    ]
    return RoleRights(current_role(connection), rls_bypass_reason(connection), missing)


def long_transactions(connection: Connection, min_age: timedelta) -> list[LongTransaction]:
    """Return the transactions older than this age that hold locks on our tables, the oldest first.

    Only a superuser, or a role with pg_read_all_stats, sees the transactions of roles that it is not a member of.
    """
    query = text(
        """
        SELECT DISTINCT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''),
            extract(epoch FROM clock_timestamp() - a.xact_start), a.state LIKE 'idle%'
        FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
            JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = :schema AND l.granted AND a.pid <> pg_backend_pid()
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND a.xact_start < clock_timestamp() - CAST(:age AS interval)
        ORDER BY 4 DESC
        """
    )
    rows = connection.execute(query, {"schema": SCHEMA, "age": min_age})
    return [
        LongTransaction(pid, role, application, float(seconds), bool(is_idle))
        for pid, role, application, seconds, is_idle in rows
    ]
