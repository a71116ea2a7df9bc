"""Database roles: the schema's owner, pipelines that write one tenant at a time, readers of one tenant, and listeners.

Privileges limit a role to tables and statements. Row-level security limits a role to rows. ``grant`` sets up both, and
an operator never does so by hand. ``verifywise-mlflow db upgrade`` grants the privileges again, so that roles get
access to the tables of a new release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Connection, delete, insert, select, text

from verifywise_mlflow.persistence.access_entries import record_access
from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.repositories.audit_log import current_actor
from verifywise_mlflow.persistence.role_exposures import limit_connections
from verifywise_mlflow.persistence.sql_identifiers import quoted_identifier
from verifywise_mlflow.persistence.tables import SCHEMA, role_grants, tenants

RoleKind = Literal["pipeline", "reader", "listener"]

_READ = ("SELECT",)
_APPEND = (*_READ, "INSERT")
_WRITE = (*_APPEND, "UPDATE")

PIPELINE_PRIVILEGES: Mapping[str, tuple[str, ...]] = {
    "tenants": _WRITE,
    "registered_models": _WRITE,
    "model_versions": _WRITE,
    "prompts": _WRITE,
    "prompt_versions": _WRITE,
    "agents": _WRITE,
    "training_runs": _WRITE,
    "logged_models": _WRITE,
    "artifact_manifests": _WRITE,
    "canonical_records": _WRITE,
    "record_inputs": _WRITE,
    # Syncs delete verdicts and badges of a version whose name and number another version has now. Triggers save them as
    # history.
    "version_verdicts": (*_WRITE, "DELETE"),
    "compliance_badges": (*_WRITE, "DELETE"),
    # Triggers create a tenant's row and invalidate it.
    "compliance_counts": (*_READ, "UPDATE"),
    "compliance_count_buckets": _WRITE,
    "waivers": _WRITE,
    "stage_refreshes": _WRITE,
    "stage_watermarks": _WRITE,
    "history_usage": _WRITE,
    "poll_watermarks": _WRITE,
    "tenant_locks": _WRITE,
    # A delivery removes rows that are no longer pending.
    "delivery_outbox": (*_WRITE, "DELETE"),
    "delivery_events": (*_APPEND, "DELETE"),
    "delivery_ledger": _WRITE,
    "delivery_targets": _WRITE,
    # A sync removes the hints that it has followed. The listener removes the deliveries that are too old to be
    # repeated.
    "change_hints": (*_WRITE, "DELETE"),
    "webhook_deliveries": (*_WRITE, "DELETE"),
    "webhook_status": _WRITE,
    "state_models": _WRITE,
    # Append-only.
    "lifecycle_events": _APPEND,
    "integrity_events": _APPEND,
    "config_versions": _APPEND,
    "audit_trail": _APPEND,
    "audit_checkpoints": _APPEND,
    "checkpoint_receipts": _APPEND,
    "state_log": _APPEND,
    "state_commitments": _APPEND,
    # Triggers write these tables with the owner's rights.
    "canonical_record_history": _READ,
    "prompt_version_history": _READ,
    "agent_history": _READ,
    "version_verdict_history": _READ,
    "compliance_badge_history": _READ,
    # A role sees its own row, which the policies of row-level security read, and the rows of pipelines and listeners.
    "role_grants": _READ,
}
"""A pipeline's privileges on each table except ``REVISION_TABLE``. A new table must be added here: a test compares
these names with the tables."""

READER_TABLES = tuple(table for table in PIPELINE_PRIVILEGES if table != "tenant_locks")
"""The tables that a reader may read, besides ``REVISION_TABLE``: all but the locks."""

LISTENER_PRIVILEGES: Mapping[str, tuple[str, ...]] = {
    "change_hints": (*_WRITE, "DELETE"),
    "webhook_deliveries": (*_APPEND, "DELETE"),
    "webhook_status": _WRITE,
    "role_grants": _READ,
}
"""A listener's privileges, besides ``REVISION_TABLE``. Other networks reach the listener, so the listener has no access
to what pipelines store."""

REVISION_TABLE = "alembic_version"
"""The table with the schema's revision, which belongs to no tenant. Every role with access reads it, to refuse a schema
of another release."""


def grant(connection: Connection, role: str, kind: RoleKind, tenant_id: str | None, now: datetime) -> None:
    """Grant a role access, with an audit entry.

    If the role already has this access, only restore its privileges, without an entry.

    Raises:
        DatabaseError: the current role lacks the rights of the schema's owner, there is no such role, row-level
            security would not apply to it, or it has other access.
        LockTimeoutError: another transaction locked an audit trail for too long.
    """
    lock_grants(connection, "granting access")
    _refuse_missing(connection, role)
    if reason := _bypass_of(connection, role):
        raise DatabaseError(
            f"the role {role!r} {reason}, so row-level security would not apply to it: grant access to a role that is "
            "not a superuser, has no BYPASSRLS, and is neither the schema's owner nor a member of it"
        )
    held = connection.execute(
        select(role_grants.c.kind, role_grants.c.tenant_id).where(role_grants.c.role_name == role)
    ).first()
    if held is None:
        actor = current_actor(connection)
        connection.execute(
            insert(role_grants).values(
                role_name=role,
                kind=kind,
                tenant_id=tenant_id,
                granted_at=now,
                granted_by_os_user=actor.os_user,
                granted_by_role=actor.database_role,
            )
        )
    elif tuple(held) != (kind, tenant_id):
        tenant_phrase = f" of {held.tenant_id}" if held.tenant_id else ""
        raise DatabaseError(
            f"the role {role!r} already is a {held.kind}{tenant_phrase}: revoke that first, "
            "with verifywise-mlflow db revoke"
        )
    _grant_privileges(connection, role, kind)
    if held is None:
        record_access(connection, "access granted", role, kind, tenant_id, now)


def revoke(connection: Connection, role: str, now: datetime) -> None:
    """Revoke a role's access, even if the role no longer exists, with an audit entry.

    A role without a grant loses its privileges without an entry. Unless such a role bypasses row-level security, its
    privileges show no tenant's rows.

    Raises:
        DatabaseError: the role has no access, or the current role lacks the rights of the schema's owner.
        LockTimeoutError: another transaction locked an audit trail for too long.
    """
    lock_grants(connection, "revoking access")
    held = connection.execute(
        delete(role_grants)
        .where(role_grants.c.role_name == role)
        .returning(role_grants.c.kind, role_grants.c.tenant_id)
    ).first()
    if _exists(connection, role):
        if held is None and role not in _privileged(connection):
            raise DatabaseError(f"the role {role!r} has no access to revoke")
        _revoke_privileges(connection, role)
    elif held is None:
        raise DatabaseError(f"the role {role!r} has no access to revoke, and does not exist")
    if held is not None:
        record_access(connection, "access revoked", role, held.kind, held.tenant_id, now)


def regrant_all(connection: Connection) -> None:
    """Restore the privileges of every existing role with access, since there may be new tables."""
    for role, kind in connection.execute(
        select(role_grants.c.role_name, role_grants.c.kind).order_by(role_grants.c.role_name)
    ).all():
        if _exists(connection, role):
            _grant_privileges(connection, role, kind)


def readers_of(connection: Connection, tenant_id: str) -> list[str]:
    """Return the tenant's readers."""
    query = (
        select(role_grants.c.role_name).where(role_grants.c.tenant_id == tenant_id).order_by(role_grants.c.role_name)
    )
    return list(connection.scalars(query))


def is_known_tenant(connection: Connection, tenant_id: str) -> bool:
    """Return whether the tenant was synced, and not erased since."""
    return connection.scalar(select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant_id)) is not None


@dataclass(frozen=True, slots=True)
class RoleAccess:
    """A role and its access to the schema."""

    role: str
    kind: Literal["owner", "unbound", "pipeline", "reader", "listener", "none"]
    """``unbound``: row-level security does not apply to the role, and the role has no grant. ``none``: the role has
    privileges but sees no rows."""
    tenant_id: str | None = None
    granted_at: datetime | None = None
    remark: str | None = None


def roles(connection: Connection) -> list[RoleAccess]:
    """Return the schema's owner, the roles without a grant that bypass row-level security, and the granted roles.

    A granted role is included only if the current role sees its grant. If the current role sees all grants, the other
    roles with privileges follow.
    """
    schema_owner = owner(connection)
    access = [RoleAccess(schema_owner, "owner", remark="reads and writes all tenants; for upgrades and erasure")]
    unbound = connection.scalars(text("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname"))
    reasons = {role: reason for role in unbound.all() if (reason := _bypass_of(connection, role))}
    granted = connection.execute(
        select(role_grants).order_by(role_grants.c.kind, role_grants.c.tenant_id, role_grants.c.role_name)
    ).all()
    names = {row.role_name for row in granted}
    access += [
        RoleAccess(role, "unbound", remark=f"{reason}: row-level security does not apply to it")
        for role, reason in reasons.items()
        if role != schema_owner and role not in names
    ]
    for row in granted:
        remark = None if _exists(connection, row.role_name) else "the role no longer exists: revoke it"
        if row.role_name in reasons:
            remark = f"{reasons[row.role_name]}: row-level security does not apply to it"
        access.append(RoleAccess(row.role_name, row.kind, row.tenant_id, row.granted_at, remark))
    if not sees_all_grants(connection):
        return access
    unmanaged = _privileged(connection) - names - reasons.keys() - {schema_owner}
    problem = "has privileges that db grant did not give and sees no tenant's rows"
    access += [RoleAccess(role, "none", remark=f"{problem}: {_remedy(role)}") for role in sorted(unmanaged)]
    return access


def _remedy(role: str) -> str:
    if role != _PUBLIC:
        return "revoke it"
    # ``revoke`` takes a role, and PUBLIC is not a role.
    statements = (f"REVOKE ALL ON ALL {kind} IN SCHEMA {SCHEMA} FROM PUBLIC" for kind in ("TABLES", "SEQUENCES"))
    return f"run {'; '.join(statements)}"


def sees_all_grants(connection: Connection) -> bool:
    """Return whether the current role sees the grants of all readers, as the owner does."""
    query = text("SELECT row_security_active(CAST(:grants AS regclass))")
    return not connection.scalar(query, {"grants": f"{SCHEMA}.role_grants"})


def owner(connection: Connection) -> str:
    """Return the role that owns the schema, which must exist."""
    return str(connection.scalar(_OF_SCHEMA, {"schema": SCHEMA}))


def is_owner(connection: Connection) -> bool:
    """Return whether the current role has the rights of the schema's owner."""
    query = text("SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = :schema")
    return bool(connection.scalar(query, {"schema": SCHEMA}))


def require_owner(connection: Connection, action: str) -> None:
    """Refuse a role without the rights of the schema's owner.

    Raises:
        DatabaseError: the current role lacks these rights.
    """
    if not is_owner(connection):
        raise DatabaseError(
            f"{action} needs the rights of the schema's owner, the database role {owner(connection)!r}; "
            f"the current role is {current_role(connection)!r}: set VERIFYWISE_DATABASE_URL to the owner's URL"
        )


def lock_grants(connection: Connection, action: str) -> None:
    """Keep other transactions from granting and revoking access until this transaction ends.

    Raises:
        DatabaseError: the current role lacks the rights of the schema's owner, which the action needs.
    """
    require_owner(connection, action)
    # Two simultaneous grants would update the same row of the catalog, which Postgres refuses.
    connection.execute(text(f"LOCK TABLE {SCHEMA}.role_grants IN SHARE ROW EXCLUSIVE MODE"))


def rls_bypass_reason(connection: Connection) -> str | None:
    """Return why the current role bypasses row-level security; None if it does not."""
    return _bypass_of(connection, current_role(connection))


def current_role(connection: Connection) -> str:
    """Return the role whose rights the connection has."""
    return str(connection.scalar(text("SELECT current_user")))


_PUBLIC: Final = "PUBLIC"
_OF_SCHEMA = text("SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = :schema")


def _bypass_of(connection: Connection, role: str) -> str | None:
    row = connection.execute(
        text("""
            SELECT rolsuper, rolbypassrls, r.oid = nspowner AS owns, pg_has_role(r.oid, nspowner, 'MEMBER') AS member
            FROM pg_roles AS r, pg_namespace WHERE rolname = :role AND nspname = :schema
        """),
        {"role": role, "schema": SCHEMA},
    ).one()
    if row.rolsuper:
        return "is a superuser"
    if row.rolbypassrls:
        return "has BYPASSRLS"
    if row.owns:
        return "owns the schema"
    return "is a member of the schema's owner" if row.member else None


def _privileged(connection: Connection) -> set[str]:
    """Return the roles with privileges on tables, views or sequences of the schema, except their owners."""
    return set(
        connection.scalars(
            text("""
                SELECT DISTINCT CASE grantee WHEN 0 THEN :public ELSE pg_get_userbyid(grantee) END
                FROM pg_class, aclexplode(relacl)
                WHERE relnamespace = CAST(:schema AS regnamespace) AND grantee <> relowner
            """),
            {"schema": SCHEMA, "public": _PUBLIC},
        )
    )


def _exists(connection: Connection, role: str) -> bool:
    return bool(connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = :role"), {"role": role}))


def _refuse_missing(connection: Connection, role: str) -> None:
    if not _exists(connection, role):
        raise DatabaseError(
            f"there is no database role {role!r}: create it first, with "
            f"CREATE ROLE {quoted_identifier(role)} LOGIN PASSWORD '…'"
        )


def _grant_privileges(connection: Connection, role: str, kind: RoleKind) -> None:
    _revoke_privileges(connection, role)  # including privileges that an earlier release granted
    name = quoted_identifier(role)
    by_table = {
        "pipeline": PIPELINE_PRIVILEGES,
        "reader": dict.fromkeys(READER_TABLES, _READ),
        "listener": LISTENER_PRIVILEGES,
    }[kind]
    for privileges in dict.fromkeys(by_table.values()):
        tables = [f"{SCHEMA}.{table}" for table, granted in by_table.items() if granted == privileges]
        _execute(connection, f"GRANT {', '.join(privileges)} ON {', '.join(tables)} TO {name}")
    readable = [f"{SCHEMA}.{REVISION_TABLE}", *(_views(connection) if kind != "listener" else ())]
    _execute(connection, f"GRANT SELECT ON {', '.join(readable)} TO {name}")
    if kind == "reader":
        limit_connections(connection, role)
    else:
        _execute(connection, f"GRANT USAGE ON SEQUENCE {SCHEMA}.revisions TO {name}")
    _execute(connection, f"GRANT EXECUTE ON FUNCTION {SCHEMA}.current_tenant() TO {name}")
    _execute(connection, f"GRANT USAGE ON SCHEMA {SCHEMA} TO {name}")


def _revoke_privileges(connection: Connection, role: str) -> None:
    name = quoted_identifier(role)
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        _execute(connection, f"REVOKE ALL ON ALL {kind} IN SCHEMA {SCHEMA} FROM {name}")
    _execute(connection, f"REVOKE ALL ON SCHEMA {SCHEMA} FROM {name}")


def _views(connection: Connection) -> list[str]:
    query = text("SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = CAST(:schema AS regnamespace)")
    return sorted(f"{SCHEMA}.{quoted_identifier(view)}" for view in connection.scalars(query, {"schema": SCHEMA}))


def _execute(connection: Connection, statement: str) -> None:
    # GRANT takes no parameters. Without parameters, the driver does not look for placeholders. A role's name may
    # contain a %.
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
