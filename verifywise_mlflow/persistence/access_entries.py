"""The audit entries of granted and revoked access: who granted which database role access to a tenant.

The entry of a reader is in the trail of its tenant. The entry of a pipeline or a listener is in the trail of every
tenant, so that a tenant's trail alone shows who could read and write its rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Connection, select

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import tenants

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
    """Append an entry to the trail of the reader's tenant, or for other roles to the trails of all tenants.

    Call it last in a transaction, with the owner's rights. A trail may begin with this entry, since a reader's tenant
    need not have been synced yet.
    """
    query = select(tenants.c.tenant_id, tenants.c.tracking_uri).order_by(tenants.c.tenant_id)
    if tenant_id is not None:
        query = query.where(tenants.c.tenant_id == tenant_id)
    uris: dict[str, str] = {row.tenant_id: row.tracking_uri for row in connection.execute(query)}
    if tenant_id is not None:
        uris.setdefault(tenant_id, "")
    for concerned, uri in uris.items():
        audit_log.append(TenantSession(connection, concerned), [_entry(event, role, kind, concerned, uri, now)])


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
