"""``doctor`` reports webhooks that do not arrive, in one finding for all tenants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from verifywise_mlflow.persistence.repositories import change_hints
from verifywise_mlflow.persistence.repositories.change_hints import WebhookStatus
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.installation.webhooks import check_webhooks, webhook_problem
from verifywise_mlflow.tenants.tenant import Tenant

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (WebhookStatus(), "no delivery has arrived yet"),
        (WebhookStatus(NOW - HOUR), None),
        (WebhookStatus(NOW - 6 * DAY), None),
        (WebhookStatus(NOW - 8 * DAY), "the last delivery arrived at 2026-02-28 12:00"),
        (WebhookStatus(NOW - HOUR, NOW - HOUR, NOW - 2 * HOUR), "at 2026-03-08 10:00 that no webhook reported"),
        (WebhookStatus(NOW - HOUR, NOW - HOUR, NOW - 2 * DAY), None),
        (WebhookStatus(NOW - 3 * DAY, None, NOW - 2 * DAY), "that no webhook reported. The last delivery came at"),
    ],
)
def test_silence_and_misses_are_problems(status: WebhookStatus, problem: str | None) -> None:
    found = webhook_problem(status, NOW)

    assert (found is None) == (problem is None)
    assert (problem or "") in (found or "")


def with_webhooks(tenant_id: str) -> Tenant:
    return Tenant.model_validate(
        {
            "tenant_id": tenant_id,
            "tracking_uri": "https://mlflow.test",
            "webhooks": {"path": "env:P", "secret": "env:S"},
        }
    )


def test_one_finding_names_the_tenants_whose_webhooks_do_not_arrive(store: Store, database_url: str) -> None:
    tenants = {tenant_id: with_webhooks(tenant_id) for tenant_id in ("acme", "globex")}
    polled = Tenant(tenant_id="polled", tracking_uri="https://mlflow.test")
    with store.begin("acme") as session:
        change_hints.record_delivery(session, NOW, is_event=False)

    (finding,) = check_webhooks({**tenants, "polled": polled}, database_url, NOW)
    with store.begin("globex") as session:
        change_hints.record_delivery(session, NOW, is_event=False)
    (sound,) = check_webhooks(tenants, database_url, NOW)

    assert (finding.outcome, finding.detail) == ("warning", "globex: no delivery has arrived yet")
    assert "webhooks globex --check" in (finding.remedy or "")
    assert (sound.outcome, sound.detail) == ("ok", "those of 2 tenants arrive")
    assert not list(check_webhooks({"polled": polled}, database_url, NOW))
