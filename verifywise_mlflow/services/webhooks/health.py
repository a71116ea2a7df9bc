"""Whether a tenant's webhooks are alive, so that its listings may be polled less often. Pure: times are arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from verifywise_mlflow.persistence.repositories.change_hints import WebhookStatus
from verifywise_mlflow.tenants.mlflow_webhooks import Webhooks
from verifywise_mlflow.tenants.tenant import Tenant

LATE: Final = timedelta(minutes=2)
"""How late a delivery may arrive: MLflow repeats a failed delivery, and the listener refuses some deliveries with
429."""


def are_alive(webhooks: Webhooks, status: WebhookStatus, now: datetime) -> bool:
    """Return whether a verified delivery has arrived lately, and no change was missed in the same period.

    After a missed change, deliveries about other objects do not show that all deliveries arrive.
    """
    last, missed = status.last_delivery_at, status.last_missed_at
    if last is None or now - last > webhooks.alive_for:
        return False
    return missed is None or now - missed > webhooks.alive_for


def relaxed_intervals(
    tenants: Mapping[str, Tenant], statuses: Mapping[str, WebhookStatus], now: datetime
) -> dict[str, timedelta]:
    """Return the interval of each tenant whose listings are polled less often, while its webhooks are alive."""
    return {
        tenant_id: max(webhooks.listing, tenants[tenant_id].intervals.listing)
        for tenant_id, status in statuses.items()
        if (webhooks := tenants[tenant_id].webhooks) is not None
        and webhooks.listing is not None
        and are_alive(webhooks, status, now)
    }


def are_missed(
    models: Collection[str], found_at: datetime, reported: Collection[str], status: WebhookStatus, now: datetime
) -> bool | None:
    """Return whether webhooks that once worked missed a change that a poll found; None if it is too early to know.

    Args:
        models: the models with changes.
        found_at: when the poll found them.
        reported: the models that deliveries have named since ``LATE`` before ``found_at``. The times at which tags and
            aliases changed are unknown, so any event about the model counts as an event about its change.
        status: the last deliveries and the last missed change.
        now: the current time.
    """
    if set(models) <= set(reported):
        return False
    if now - found_at < LATE:
        return None
    return status.last_delivery_at is not None


def silence(status: WebhookStatus) -> str | None:
    """Return a sentence if a tenant's webhooks have worked and then missed a change; otherwise None."""
    missed, last = status.last_missed_at, status.last_delivery_at
    if missed is None or last is None or last > missed:
        return None
    return (
        f"polling found a change at {missed:%Y-%m-%d %H:%M} UTC that no webhook reported. The last delivery came at "
        f"{last:%Y-%m-%d %H:%M} UTC. Polling is back at its normal interval. Check the listener, and the webhooks in "
        "MLflow with verifywise-mlflow webhooks"
    )
