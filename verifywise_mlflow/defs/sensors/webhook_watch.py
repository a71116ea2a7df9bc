"""Compares what polls find with what webhooks reported: relaxes polling while they agree, and tightens it otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import WebhookStatus
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.webhooks.health import is_missed, relaxed_intervals
from verifywise_mlflow.tenants.tenant import Tenant

_NAMED = 5


@dataclass(frozen=True, slots=True)
class WebhookWatch:
    """What one tick knows about the tenants' webhooks."""

    relaxed: Mapping[str, timedelta]
    """The intervals of the tenants that are polled less often."""
    suspected: Mapping[str, int]
    """Tenants with a change that no event has reported so far, and when a poll found it, in seconds since 1970."""

    def with_unreported(self, tenant_ids: Iterable[str], now: datetime) -> dict[str, int]:
        """Return the suspicions for the next tick, with those of the tenants whose change this tick has found."""
        return {**dict.fromkeys(tenant_ids, int(now.timestamp())), **self.suspected}

    @property
    def summary(self) -> str:
        """A clause for the sensor's page; empty if no tenant is polled less often."""
        if not self.relaxed:
            return ""
        names = ", ".join(sorted(self.relaxed)[:_NAMED]) + (", …" if len(self.relaxed) > _NAMED else "")
        return f"; {len(self.relaxed)} polled less often while their webhooks are alive: {names}"


def watch_webhooks(
    store: Store, tenants: Mapping[str, Tenant], suspected: Mapping[str, int], now: datetime
) -> WebhookWatch:
    """Decide about the suspicions of earlier ticks, and return which tenants are polled less often.

    A tenant under suspicion is polled at its normal interval.
    """
    statuses: dict[str, WebhookStatus] = {}
    open_suspicions: dict[str, int] = {}
    for tenant_id, tenant in tenants.items():
        if tenant.webhooks is None:
            continue
        with store.begin(tenant_id) as session:
            status = change_hints.status(session)
            found_at = suspected.get(tenant_id)
            missed = found_at is not None and is_missed(_time(found_at), status, now)
            if found_at is not None and missed is None:
                open_suspicions[tenant_id] = found_at
            elif found_at is not None and missed:
                change_hints.record_missed(session, _time(found_at))
            else:
                statuses[tenant_id] = status
    return WebhookWatch(relaxed_intervals(tenants, statuses, now), open_suspicions)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
