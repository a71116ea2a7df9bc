"""Erasure of a tenant: deletes its data except the audit trail, which records the erasure and who ran it.

Nothing else deletes the row of an object that was read: objects that MLflow no longer has get a tombstone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime

from sqlalchemy import Table, delete, func, select

from verifywise_mlflow import __version__
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.persistence import role_grants
from verifywise_mlflow.persistence.locks import delivery_locks, lock_tenant
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.persistence.tables import (
    audit_checkpoints,
    audit_trail,
    checkpoint_receipts,
    compliance_count_buckets,
    compliance_counts,
    metadata,
    tenant_locks,
    tenants,
)

RETAINED_TABLES = (audit_trail, audit_checkpoints, checkpoint_receipts, tenant_locks)
"""Tables whose rows an erasure keeps. The trail, its checkpoints and its receipts prove the erasure. The locks are held
by the erasure itself."""


def erased_tables() -> list[Table]:
    """Return every table whose rows an erasure deletes, in the order of deletion."""
    tenant_tables = [
        table for table in metadata.tables.values() if "tenant_id" in table.c and table not in RETAINED_TABLES
    ]
    # Tables that triggers write come last: deleting a verdict adds it to its history and invalidates the counts.
    counts = (compliance_counts, compliance_count_buckets)
    return sorted(tenant_tables, key=lambda table: (table in counts or table.name.endswith("_history"), table.name))


def count_erasable_rows(session: TenantSession) -> dict[str, int]:
    """Return how many rows the tenant has in the tables that an erasure empties, by table.

    Tables without rows are left out.
    """
    counted = {
        table.name: session.scalar(select(func.count()).where(table.c.tenant_id == session.tenant_id)) or 0
        for table in erased_tables()
    }
    return {name: count for name, count in counted.items() if count}


def erase(store: Store, tenant_id: str, now: datetime) -> Mapping[str, int]:
    """Erase a tenant and record it in its audit trail; return the result of ``count_erasable_rows``.

    The tenant's readers lose their access, so that they cannot read a later tenant of the same name.

    Raises:
        TenantBusyError: a sync of the tenant, or a delivery to one of its targets, is running.
        DatabaseError: the current role lacks the rights of the schema's owner, or the database cannot be used.
    """
    with ExitStack() as locked:
        locked.enter_context(store.exclusive(tenant_id, wait_seconds=0))
        with store.begin(tenant_id) as session:
            deliveries = delivery_locks(session.connection, tenant_id)
        for lock in deliveries:
            locked.enter_context(store.exclusive(tenant_id, wait_seconds=0, lock=lock))
        session = locked.enter_context(store.begin(tenant_id))
        # This lock comes before all others: a grant locks the table of tenants, which an erasure changes last.
        role_grants.lock_grants(session.connection, "erasing a tenant")
        # The triggers allow the deletions only after the audit entry, so the chain must be locked before the rows. Any
        # other transaction that appends to the chain first takes one of the locks above, or one of the next three
        # locks. So such a transaction waits for that lock and causes no deadlock.
        uri = session.scalar(select(tenants.c.tracking_uri).where(tenants.c.tenant_id == tenant_id).with_for_update())
        lock_tenant(session.connection, tenant_id, "waivers")
        lock_tenant(session.connection, tenant_id, "config versions")
        counts = count_erasable_rows(session)
        for role in role_grants.readers_of(session.connection, tenant_id):
            role_grants.revoke(session.connection, role, now)
        entry = AuditEntry(
            tenant_id=tenant_id,
            occurred_at=now,
            kind="tenant erased",
            sync_id="",
            source_uri=uri or "",
            outcome="complete",
            code_version=__version__,
            counts=counts,
        )
        audit_log.append(session, [entry])
        for table in erased_tables():
            session.execute(delete(table).where(table.c.tenant_id == tenant_id))
    return counts
