"""Checks whether MLflow's webhooks arrive, according to the records of the listener and of the syncs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import WebhookStatus
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.installation.finding import Finding
from verifywise_mlflow.services.webhooks.health import silence
from verifywise_mlflow.tenants.tenant import Tenant

SILENT_FOR: Final = timedelta(days=7)
"""How long no webhook may arrive before a warning is shown: a registry may be without changes for days."""

MISSED_WITHIN: Final = timedelta(days=1)
"""How long after a missed change a warning is shown."""

_MAX_LISTED: Final = 5


def check_webhooks(tenants: Mapping[str, Tenant], url: str, now: datetime) -> Iterator[Finding]:
    """Yield one finding about all tenants with webhooks; no finding without such a tenant.

    Raises:
        DatabaseError: the database cannot be used.
    """
    configured = [tenant_id for tenant_id, tenant in tenants.items() if tenant.webhooks]
    if not configured:
        return
    problems = []
    with Store(url) as store:
        for tenant_id in configured:
            with store.begin(tenant_id) as session:
                status = change_hints.status(session)
            if problem := webhook_problem(status, now):
                problems.append((tenant_id, problem))
    if not problems:
        yield Finding("webhooks", "ok", f"those of {len(configured):,} tenants arrive")
        return
    shown = "; ".join(f"{tenant_id}: {problem}" for tenant_id, problem in problems[:_MAX_LISTED])
    more = f"; and {len(problems) - _MAX_LISTED:,} more tenants" if len(problems) > _MAX_LISTED else ""
    remedy = f"run verifywise-mlflow webhooks {problems[0][0]} --check; until they arrive, polling finds the changes"
    yield Finding("webhooks", "warning", f"{shown}{more}", remedy)


def webhook_problem(status: WebhookStatus, now: datetime) -> str | None:
    """Return the problem that a tenant's deliveries show; None if the deliveries arrive."""
    last_delivery, last_missed = status.last_delivery_at, status.last_missed_at
    if last_delivery is None:
        return "no delivery has arrived yet"
    if sentence := silence(status):
        return sentence
    if last_missed and now - last_missed < MISSED_WITHIN:
        return f"polling found a change at {_shown(last_missed)} that no webhook reported"
    if now - last_delivery > SILENT_FOR:
        return f"the last delivery arrived at {_shown(last_delivery)}"
    return None


def _shown(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
