"""The status of a tenant's deliveries for people, metrics and alerts, read from our store alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from verifywise_mlflow.persistence.repositories import delivery_outbox, delivery_targets
from verifywise_mlflow.persistence.repositories.delivery_outbox import OutboxSummary
from verifywise_mlflow.persistence.repositories.delivery_targets import TargetState
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.tenants.delivery.target_name import TargetName
from verifywise_mlflow.tenants.tenant import Tenant

STUCK_AFTER: Final = timedelta(hours=1)
"""Deliveries to a target count as stuck if the oldest pending version has waited for longer than this."""


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """The deliveries to one target."""

    target: TargetName
    outbox: OutboxSummary
    state: TargetState | None
    """None before the first delivery."""

    def oldest_seconds(self, at: datetime) -> float:
        """Return how long the oldest version that is not parked has been pending; 0 without such a version."""
        return max((at - self.outbox.oldest).total_seconds(), 0.0) if self.outbox.oldest else 0.0

    def problem(self, at: datetime) -> str | None:
        """Return a problem that a person should look at, as a sentence; None without a problem."""
        outbox, state = self.outbox, self.state
        if state and state.waiting_reason:
            return state.waiting_reason
        parts = []
        if outbox.parked:
            parts.append(f"parked versions: {outbox.parked:,}")
        if self.oldest_seconds(at) > STUCK_AFTER.total_seconds():
            parts.append(f"pending versions: {outbox.pending:,}, the oldest since {outbox.oldest:%Y-%m-%d %H:%M} UTC")
        if not parts:
            return None
        error = f". Last error: {state.last_error}" if state and state.last_error else ""
        return f"{'; '.join(parts)}{error}"


def delivery_statuses(session: TenantSession, tenant: Tenant) -> list[DeliveryStatus]:
    """Return the status of each target that the tenant's settings configure."""
    return [
        DeliveryStatus(name, delivery_outbox.summary(session, name), delivery_targets.target_state(session, name))
        for name in tenant.delivery.targets()
    ]


def delivery_problem(store: Store, tenant: Tenant, at: datetime) -> str | None:
    """Return the problems of all targets of a tenant that a person should look at; None without a problem."""
    if not tenant.delivery.targets():
        return None
    with store.begin(tenant.tenant_id) as session:
        statuses = delivery_statuses(session, tenant)
    problems = [f"{status.target}: {problem}" for status in statuses if (problem := status.problem(at))]
    return "; ".join(problems) or None
