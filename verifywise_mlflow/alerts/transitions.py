"""Decides which alerts to send: transitions only, so that repeated observations are deduplicated. Pure.

A tenant that fails every minute causes one alert, and a second one when it has recovered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from verifywise_mlflow.alerts.alert import Alert, AlertKind
from verifywise_mlflow.tenants.freshness import StageFreshness, describe_staleness

OpenAlerts = frozenset[tuple[AlertKind, str | None]]
"""Kind and tenant of alerts that were raised and not yet resolved."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The observed state of one subject."""

    kind: AlertKind
    tenant_id: str | None
    problem: str | None
    """A sentence, or None if there is no problem."""


def detect_transitions(
    open_alerts: OpenAlerts, observations: Iterable[Observation], now: datetime
) -> tuple[list[Alert], OpenAlerts]:
    """Return an alert for each change, and the alerts that are open afterwards. Unobserved alerts stay open."""
    still_open, alerts = set(open_alerts), []
    for observation in observations:
        key = (observation.kind, observation.tenant_id)
        if observation.problem is not None and key not in still_open:
            still_open.add(key)
            alerts.append(
                Alert(
                    kind=observation.kind,
                    tenant_id=observation.tenant_id,
                    state="raised",
                    sentence=observation.problem,
                    at=now,
                )
            )
        elif observation.problem is None and key in still_open:
            still_open.discard(key)
            alerts.append(
                Alert(
                    kind=observation.kind,
                    tenant_id=observation.tenant_id,
                    state="resolved",
                    sentence="back to normal",
                    at=now,
                )
            )
    return alerts, frozenset(still_open)


def drop_removed_tenants(open_alerts: OpenAlerts, tenants: Collection[str]) -> OpenAlerts:
    """Return the open alerts without the alerts of tenants that are no longer synced."""
    return frozenset(key for key in open_alerts if key[1] is None or key[1] in tenants)


def observe_staleness(tenant_id: str, stage_ages: Iterable[StageFreshness], last_sync_outcome: str) -> Observation:
    """Observe whether a tenant's stages are overdue; the sentence also states how its last sync ended."""
    staleness = describe_staleness(stage_ages)
    return Observation("tenant stale", tenant_id, f"{staleness}. {last_sync_outcome}" if staleness else None)
