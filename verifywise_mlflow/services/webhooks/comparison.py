"""Compares the webhooks in MLflow with the webhook that a tenant needs.

The findings are a missing webhook or event, and webhooks that are disabled or superfluous.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.connector.webhooks import RegisteredWebhook
from verifywise_mlflow.services.webhooks.registration import LISTENER_PREFIX

MAX_LISTED: Final = 10
"""The maximum number of webhooks or events that one sentence names."""

FindingKind = Literal["missing", "disabled", "superfluous"]


@dataclass(frozen=True, slots=True)
class WantedWebhook:
    """The webhook that a tenant needs."""

    path: str
    """The secret last part of the webhook's address."""
    events: Collection[str]
    listener: str | None = None
    """The listener's address; None accepts any listener with that path."""

    def is_led_to_by(self, url: str) -> bool:
        """Return whether an address leads to the tenant's path at our listener."""
        if self.listener is None:
            return url.endswith(LISTENER_PREFIX + self.path)
        return url == self.listener.rstrip("/") + LISTENER_PREFIX + self.path

    def shares_listener_with(self, url: str) -> bool:
        """Return whether an address leads to our listener, if the listener's address is known."""
        return self.listener is not None and url.startswith(self.listener.rstrip("/") + LISTENER_PREFIX)


@dataclass(frozen=True, slots=True)
class WebhookFinding:
    """A difference between the registered webhooks and the wanted webhook."""

    kind: FindingKind
    sentence: str
    """What was found, and what to do. The sentence contains no secret."""


@dataclass(frozen=True, slots=True)
class WebhookComparison:
    """The result of a comparison."""

    delivered_events: tuple[str, ...]
    """Wanted events that an active webhook delivers."""
    findings: tuple[WebhookFinding, ...]
    elsewhere: int
    """The number of webhooks that lead to other services."""


def compare(registered: Sequence[RegisteredWebhook], wanted: WantedWebhook) -> WebhookComparison:
    """Return the missing, disabled or superfluous webhooks. Webhooks of other services are only counted."""
    ours = [webhook for webhook in registered if wanted.is_led_to_by(webhook.url)]
    neighbors = [webhook for webhook in registered if webhook not in ours and wanted.shares_listener_with(webhook.url)]
    active = [webhook for webhook in ours if webhook.is_active]
    deliveries = Counter(event for webhook in active for event in webhook.events)
    findings = [
        *_missing(ours, [event for event in wanted.events if event not in deliveries]),
        *_disabled(ours),
        *_superfluous(active, deliveries, wanted.events),
        *map(_neighbor, neighbors),
    ]
    return WebhookComparison(
        delivered_events=tuple(event for event in wanted.events if event in deliveries),
        findings=tuple(findings),
        elsewhere=len(registered) - len(ours) - len(neighbors),
    )


def _missing(ours: Sequence[RegisteredWebhook], events: Sequence[str]) -> Sequence[WebhookFinding]:
    if not events:
        return ()
    if not ours:
        sentence = "no webhook leads to the tenant's path at the listener: register one"
    else:
        sentence = f"no active webhook delivers {', '.join(events)}: add these events"
    return (WebhookFinding("missing", sentence),)


def _disabled(ours: Sequence[RegisteredWebhook]) -> Sequence[WebhookFinding]:
    return [
        WebhookFinding("disabled", f"{_named(webhook)} is disabled: set its status to ACTIVE, or delete it")
        for webhook in ours
        if not webhook.is_active
    ]


def _superfluous(
    active: Sequence[RegisteredWebhook], deliveries: Counter[str], wanted_events: Collection[str]
) -> Sequence[WebhookFinding]:
    findings = []
    if doubled := sorted(event for event, count in deliveries.items() if count > 1 and event in wanted_events):
        names = ", ".join(map(_named, active[:MAX_LISTED]))
        sentence = f"several webhooks deliver {', '.join(doubled)}: keep one of {names}"
        findings.append(WebhookFinding("superfluous", sentence))
    for webhook in active:
        if unused := webhook.events.difference(wanted_events):
            events = ", ".join(quote(event) for event in sorted(unused)[:MAX_LISTED])
            sentence = f"{_named(webhook)} delivers events that the listener ignores: remove {events}"
            findings.append(WebhookFinding("superfluous", sentence))
    return findings


def _neighbor(webhook: RegisteredWebhook) -> WebhookFinding:
    sentence = (
        f"{_named(webhook)} leads to the listener by a path that is not this tenant's: delete it, unless it belongs to "
        "another tenant"
    )
    return WebhookFinding("superfluous", sentence)


def _named(webhook: RegisteredWebhook) -> str:
    return f"the webhook {quote(webhook.name)} ({quote(webhook.webhook_id)})"
