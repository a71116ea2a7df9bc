"""The audit entries of granted and revoked access: who granted which database role access to a tenant.

The entry of a reader is in the trail of its tenant. The entry of a pipeline or a listener is in the trail of every
tenant, so that a tenant's trail alone shows to which roles its rows were opened. A tenant's first sync adds the entries
of pipelines and listeners whose access was granted before the sync.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Literal

from sqlalchemy import Connection, select, text

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.actor import Actor
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.common.moments import utc_text
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA, role_grants, tenants

AccessEvent = Literal["access granted", "access revoked"]

_REASONS: Final[dict[tuple[AccessEvent, str], str]] = {
    ("access granted", "reader"): "the database role may read this tenant",
    ("access granted", "pipeline"): "the database role may write every tenant, this one included",
    ("access granted", "listener"): "the database role may name objects of this tenant to read again",
    ("access revoked", "reader"): "the database role may no longer read this tenant",
    ("access revoked", "pipeline"): "the database role may no longer write any tenant",
    ("access revoked", "listener"): "the database role may no longer name objects of any tenant to read again",
}


def record_access(
    connection: Connection, event: AccessEvent, role: str, kind: str, tenant_id: str | None, now: datetime
) -> None:
    """Append an entry to the trail of a reader's tenant; for other roles, to the trails of all synced tenants.

    Call it last in a transaction, with the owner's rights. A trail may begin with this entry, since a reader's tenant
    need not have been synced yet.
    """
    if tenant_id is None:
        # Another transaction may be adding a tenant now. That tenant gets the entry here or from
        # entries_of_earlier_access.
        connection.execute(text(f"LOCK TABLE {SCHEMA}.tenants IN SHARE MODE"))
    query = select(tenants.c.tenant_id, tenants.c.tracking_uri).order_by(tenants.c.tenant_id)
    if tenant_id is not None:
        query = query.where(tenants.c.tenant_id == tenant_id)
    uris: dict[str, str] = {row.tenant_id: row.tracking_uri for row in connection.execute(query)}
    if tenant_id is not None:
        uris.setdefault(tenant_id, "")
    for concerned, uri in uris.items():
        audit_log.append(TenantSession(connection, concerned), [_entry(event, role, kind, concerned, uri, now)])


def entries_of_earlier_access(session: TenantSession, uri: str, now: datetime) -> list[AuditEntry]:
    """Return an entry for each pipeline and each listener, with the actor who granted the access.

    The entries belong in the trail of a new tenant, which already has the entries of its readers.
    """
    table = role_grants
    query = select(table).where(table.c.tenant_id.is_(None)).order_by(table.c.granted_at, table.c.role_name)
    entries = []
    for row in session.execute(query):
        entry = _entry("access granted", row.role_name, row.kind, session.tenant_id, uri, now)
        entries.append(
            replace(
                entry,
                actor=Actor(row.granted_by_os_user, row.granted_by_role),
                reason=f"{entry.reason}, since {utc_text(row.granted_at)}",
                counts={**entry.counts, "granted_at": row.granted_at.astimezone(UTC).isoformat()},
            )
        )
    return entries


def _entry(event: AccessEvent, role: str, kind: str, tenant_id: str, uri: str, now: datetime) -> AuditEntry:
    return AuditEntry(
        tenant_id=tenant_id,
        occurred_at=now,
        kind=event,
        sync_id="",
        source_uri=uri,
        outcome="noted",
        code_version=__version__,
        object_kind="database role",
        object_name=role,
        reason=_REASONS[event, kind],
        counts={"kind": kind},
    )
