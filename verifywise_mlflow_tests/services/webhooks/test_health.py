"""When webhooks count as alive, and when they have missed a change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from verifywise_mlflow.persistence.repositories.change_hints import WebhookStatus
from verifywise_mlflow.services.webhooks.health import are_missed, relaxed_intervals, silence
from verifywise_mlflow.tenants.tenant import Tenant

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def tenant(listing: str | None = "30m") -> Tenant:
    webhooks = {"path": "env:PATH_END", "secret": "env:SECRET", "listing": listing, "alive_for": "1h"}
    return Tenant.model_validate(
        {"tenant_id": "acme", "tracking_uri": "https://mlflow.example.com", "webhooks": webhooks}
    )


@pytest.mark.parametrize(
    ("status", "is_relaxed"),
    [
        (WebhookStatus(), False),
        (WebhookStatus(last_delivery_at=ago(59)), True),
        (WebhookStatus(last_delivery_at=ago(61)), False),
        (WebhookStatus(last_delivery_at=ago(10), last_missed_at=ago(5)), False),
        (WebhookStatus(last_delivery_at=ago(4), last_missed_at=ago(5)), False),
        (WebhookStatus(last_delivery_at=ago(4), last_missed_at=ago(61)), True),
    ],
    ids=["never", "lately", "silent", "missed", "another-delivered-after-a-miss", "no-miss-for-long"],
)
def test_listings_are_polled_less_often_only_while_webhooks_are_alive(
    status: WebhookStatus, *, is_relaxed: bool
) -> None:
    relaxed = relaxed_intervals({"acme": tenant()}, {"acme": status}, NOW)
    assert relaxed == ({"acme": timedelta(minutes=30)} if is_relaxed else {})


@pytest.mark.parametrize("listing", [None, "1m"])
def test_no_setting_makes_polling_more_frequent_or_relaxes_it_by_default(listing: str | None) -> None:
    relaxed = relaxed_intervals({"acme": tenant(listing)}, {"acme": WebhookStatus(last_delivery_at=NOW)}, NOW)
    assert relaxed.get("acme", timedelta(minutes=5)) == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("found", "reported", "status", "missed"),
    [
        (1, {"credit"}, WebhookStatus(ago(1), ago(1)), None),
        (1, {"churn", "credit"}, WebhookStatus(ago(1), ago(1)), False),
        (3, set(), WebhookStatus(ago(60), ago(60)), True),
        (3, set(), WebhookStatus(ago(60), None), True),
        (3, {"credit"}, WebhookStatus(ago(2), ago(2)), True),
        (3, {"churn"}, WebhookStatus(ago(2), ago(2)), False),
        (3, set(), WebhookStatus(None, None), False),
    ],
    ids=["too-soon", "already-reported", "silent", "only-test-calls", "another-model", "late-event", "never-worked"],
)
def test_a_change_counts_as_missed_if_no_event_named_its_model_about_the_time_of_the_poll(
    found: float, reported: set[str], status: WebhookStatus, missed: bool | None
) -> None:
    assert are_missed(["churn"], ago(found), reported, status, NOW) is missed


def test_silence_is_a_problem_only_after_webhooks_have_worked() -> None:
    assert silence(WebhookStatus(last_missed_at=ago(5))) is None
    assert silence(WebhookStatus(last_delivery_at=ago(4), last_missed_at=ago(5))) is None
    problem = silence(WebhookStatus(last_delivery_at=ago(60), last_missed_at=ago(5)))
    assert problem is not None
    assert "11:55 UTC" in problem
