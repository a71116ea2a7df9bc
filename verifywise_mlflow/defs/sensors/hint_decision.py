"""Decides when a targeted sync is requested for a tenant with hints: once per hint, and again after a failure. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from verifywise_mlflow.defs.run_queue.active_runs import HintFollowers
from verifywise_mlflow.defs.sensors.hint_cursor import HintCursor, RequestedHints
from verifywise_mlflow.defs.sensors.tick_limit import MAX_SYNCS_PER_TICK
from verifywise_mlflow.persistence.repositories.change_hints import TenantHints

FIRST_RETRY_DELAY = timedelta(minutes=1)
MAX_RETRY_DELAY = timedelta(minutes=15)
"""The longest delay of a retry. The first delay is one minute, and each further delay is twice as long: wrong
credentials that are tried with each event would lock the account."""


@dataclass(frozen=True, slots=True)
class HintDecision:
    """The outcome of a tick."""

    cursor: HintCursor
    """The cursor for the next tick."""
    run_keys: dict[str, str]
    """The tenants for which a sync is requested, each with the key that makes the request idempotent."""


def decide(
    cursor: HintCursor,
    hints: Sequence[TenantHints],
    tenants: Collection[str],
    followers: HintFollowers,
    now: datetime,
) -> HintDecision:
    """Return the outcome of a tick.

    Args:
        cursor: the cursor of the last tick.
        hints: the hints of all tenants.
        tenants: the tenants that are synced. Hints of other tenants are ignored.
        followers: the runs that follow hints.
        now: the current time.
    """
    requested: dict[str, RequestedHints] = {}
    run_keys: dict[str, str] = {}
    for of_tenant in sorted(hints, key=lambda each: each.oldest_received_at):
        tenant_id, last = of_tenant.tenant_id, cursor.requested.get(of_tenant.tenant_id)
        if tenant_id not in tenants:
            continue
        this = RequestedHints(of_tenant.newest_revision, now.timestamp(), _retries(of_tenant, last, followers))
        if tenant_id in followers.waiting:
            requested[tenant_id] = this  # the waiting run will follow the hints
        elif len(run_keys) < MAX_SYNCS_PER_TICK and _is_due(this, last, is_running=tenant_id in followers.running):
            requested[tenant_id] = this
            run_keys[tenant_id] = f"{tenant_id}:{this.revision}:{this.retries}"
        elif last is not None:
            requested[tenant_id] = last
    return HintDecision(HintCursor(requested=requested), run_keys)


def _retries(hints: TenantHints, last: RequestedHints | None, followers: HintFollowers) -> int:
    """Return how many consecutive requests have failed or left the newest hint pending."""
    if last is None:
        return 0
    if hints.tenant_id in followers.running:
        return last.retries
    is_left_behind = hints.tenant_id in followers.failed or hints.newest_revision == last.revision
    return last.retries + 1 if is_left_behind else 0


def _is_due(this: RequestedHints, last: RequestedHints | None, *, is_running: bool) -> bool:
    """Return whether to request a sync: for a new hint at once, unless the last sync failed."""
    if last is None:
        return True
    if is_running or not this.retries:
        return this.revision > last.revision and not this.retries
    back_off = min(FIRST_RETRY_DELAY * (1 << min(this.retries - 1, 10)), MAX_RETRY_DELAY)
    return this.requested_at - last.requested_at >= back_off.total_seconds()
