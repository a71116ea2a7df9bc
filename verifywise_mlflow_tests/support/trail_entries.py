"""Makes entries of an audit trail, and appends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.persistence.repositories import audit_log
from verifywise_mlflow.persistence.store import Store

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def entry(number: int, reason: str = "", name: str = "churn") -> AuditEntry:
    """Return an entry of acme's trail, ``number`` seconds after ``NOW``."""
    return AuditEntry(
        tenant_id="acme",
        occurred_at=NOW + timedelta(seconds=number),
        kind="object unreadable",
        sync_id=f"s{number}",
        source_uri="https://a.example",
        outcome="incomplete",
        code_version="0",
        object_name=name,
        reason=reason,
        counts={"of": {name: 1.5e300}, "notes": [reason]},
    )


def append(store: Store, *entries: AuditEntry) -> None:
    """Append entries to acme's trail."""
    with store.begin("acme") as session:
        audit_log.append(session, entries)
