"""Compares the changes that polls and webhooks find: while they agree, tenants are polled less often."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from verifywise_mlflow.defs.sensors.poll_cursor import MAX_SUSPECTED_MODELS, Suspicion
from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import WebhookStatus
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.webhooks.health import LATE, are_missed, relaxed_intervals
from verifywise_mlflow.tenants.tenant import Tenant

_NAMED = 5


@dataclass(frozen=True, slots=True)
class WebhookWatch:
    """The state of the tenants' webhooks in one tick."""

    relaxed: Mapping[str, timedelta]
    """The intervals of the tenants that are polled less often."""
    suspected: Mapping[str, Suspicion]
    """Tenants with changes that no event has reported so far."""
    missed: Mapping[str, Suspicion]
    """Tenants with changes that no event has reported at all."""

    def with_unreported(self, models: Mapping[str, Collection[str]], now: datetime) -> dict[str, Suspicion]:
        """Return the suspicions for the next tick, including this tick's unreported models of each tenant."""
        found = {
            tenant_id: Suspicion(int(now.timestamp()), tuple(sorted(names)[:MAX_SUSPECTED_MODELS]))
            for tenant_id, names in models.items()
        }
        return {**found, **self.suspected}

    @property
    def summary(self) -> str:
        """A clause for the sensor's page; empty if no tenant is polled less often."""
        if not self.relaxed:
            return ""
        names = ", ".join(sorted(self.relaxed)[:_NAMED]) + (", …" if len(self.relaxed) > _NAMED else "")
        return f"; {len(self.relaxed)} polled less often while their webhooks are alive: {names}"


def watch_webhooks(
    store: Store, tenants: Mapping[str, Tenant], suspected: Mapping[str, Suspicion], now: datetime
) -> WebhookWatch:
    """Decide which suspected misses of earlier ticks are real, and which tenants are polled less often.

    A tenant whose webhooks are suspected of having missed a change is polled at its normal interval.
    """
    statuses: dict[str, WebhookStatus] = {}
    still_open: dict[str, Suspicion] = {}
    missed: dict[str, Suspicion] = {}
    for tenant_id in tenants:
        with store.begin(tenant_id) as session:
            status = change_hints.status(session)
            if (suspicion := suspected.get(tenant_id)) is None:
                statuses[tenant_id] = status
                continue
            found_at = _time(suspicion.found_at)
            reported = change_hints.names_reported_since(session, found_at - LATE)
            are_lost = are_missed(suspicion.models, found_at, reported, status, now)
            if are_lost is None:
                still_open[tenant_id] = suspicion
            elif are_lost:
                missed[tenant_id] = suspicion
                change_hints.record_missed(session, found_at)
            else:
                statuses[tenant_id] = status
    return WebhookWatch(relaxed_intervals(tenants, statuses, now), still_open, missed)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
