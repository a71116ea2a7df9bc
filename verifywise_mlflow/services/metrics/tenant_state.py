"""Reads a tenant's metrics from the database: lag, gaps, and the syncs that ended since the last reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.queries.stage_timestamps import stage_timestamps
from verifywise_mlflow.persistence.repositories import audit_log, change_hints, records
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.compliance_summary import ComplianceSummary, summarize_compliance
from verifywise_mlflow.services.delivery_status import DeliveryStatus, delivery_statuses
from verifywise_mlflow.services.freshness import load_stage_freshness
from verifywise_mlflow.services.tenant_policies import load_rules
from verifywise_mlflow.tenants.tenant import Tenant

MAX_SYNCS: Final = 500
"""The maximum number of syncs of a tenant that one reading counts; a tenant has at most two syncs a minute."""


@dataclass(frozen=True, slots=True)
class EndedSync:
    """A sync that ended, as its entry in the audit trail describes it."""

    sequence: int
    ended_at: datetime
    outcome: str
    seconds: float
    requests: int
    bytes_read: int
    incomplete: int
    circuit_openings: int
    is_targeted: bool
    """Whether the sync read only named objects."""


@dataclass(frozen=True, slots=True)
class WebhookState:
    """What a tenant's webhooks have reported."""

    pending: int
    """The number of hints that no sync has processed yet."""
    oldest_seconds: float
    """How long the oldest pending hint has waited."""
    last_delivery_at: datetime | None


@dataclass(frozen=True, slots=True)
class TenantState:
    """A tenant at one time."""

    lag_seconds: Mapping[str, float]
    """The lag of each stage, by the stage's name."""
    is_stale: bool
    incomplete_records: int
    compliance: ComplianceSummary
    last_sync: EndedSync | None
    last_registry_sync: EndedSync | None
    """The last sync that was not targeted."""
    new_syncs: Sequence[EndedSync]
    """The syncs that ended since the last reading, oldest first."""
    deliveries: Sequence[DeliveryStatus] = ()
    webhooks: WebhookState | None = None
    """None if the tenant has no webhooks."""


def read_tenant_state(store: Store, tenant: Tenant, at: datetime, after: int | None) -> TenantState | None:
    """Return a tenant's state; None before its first sync.

    Args:
        store: The database.
        tenant: The tenant.
        at: The current time.
        after: The sequence number of the last entry that was counted; if it is None, no sync counts as new.

    Raises:
        DatabaseError: the database cannot be read, or an entry of the audit trail is damaged.
        TenantsFileError: the tenant's policies cannot be used.
    """
    with store.begin(tenant.tenant_id) as session:
        timestamps = stage_timestamps(session)
        if timestamps is None:
            return None
        is_stale = any(stage.is_stale for stage in load_stage_freshness(session, tenant, at))
        incomplete = records.count_incomplete(session)
        deliveries = delivery_statuses(session, tenant)
        webhooks = _webhook_state(session, at) if tenant.webhooks else None
        limit = 1 if after is None else MAX_SYNCS
        entries = audit_log.entries(session, limit=limit, kind="sync ended", after=after)
        if not entries and after:
            entries = audit_log.entries(session, limit=1, kind="sync ended")
        of_registry = audit_log.entries(session, limit=1, kind="sync ended", untargeted=True)
    syncs = [_ended_sync(sequence, entry) for sequence, entry in entries]  # newest first
    lags = {stage.value: timestamps.refreshed_at.get(stage.value, timestamps.first_seen_at) for stage in Stage}
    return TenantState(
        {stage: max((at - since).total_seconds(), 0.0) for stage, since in lags.items()},
        is_stale,
        incomplete,
        summarize_compliance(store, tenant.tenant_id, load_rules(tenant), at),
        syncs[0] if syncs else None,
        _ended_sync(*of_registry[0]) if of_registry else None,
        [sync for sync in reversed(syncs) if after is not None and sync.sequence > after],
        deliveries,
        webhooks,
    )


def _webhook_state(session: TenantSession, at: datetime) -> WebhookState:
    hints = change_hints.pending(session)
    oldest = min((hint.first_received_at for hint in hints), default=at)
    waited = max((at - oldest).total_seconds(), 0.0)
    return WebhookState(len(hints), waited, change_hints.status(session).last_delivery_at)


def _ended_sync(sequence: int, entry: AuditEntry) -> EndedSync:
    counts = entry.counts
    stages = [of_stage for stage in Stage if isinstance(of_stage := counts.get(stage.value), Mapping)]
    # An entry of an earlier release has the seconds of its stages only.
    seconds = counts.get("seconds") or sum(_number(of_stage.get("seconds")) for of_stage in stages)
    return EndedSync(
        sequence,
        entry.occurred_at,
        entry.outcome,
        _number(seconds),
        int(_number(counts.get("requests"))),
        int(_number(counts.get("bytes_read"))),
        int(sum(_number(of_stage.get("incomplete")) for of_stage in stages)),
        int(_number(counts.get("circuit_openings"))),
        "only" in counts,
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
