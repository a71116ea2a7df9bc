"""What ``webhooks --json`` prints: how to register a tenant's webhook, and whether it works."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from pydantic import ConfigDict

from verifywise_mlflow.common.described_fields import DESCRIBED
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.services.webhooks.check import Deliveries, WebhookCheck
from verifywise_mlflow.services.webhooks.registration import PRIVATE_SETTINGS, SERVER_SETTINGS, Registration
from verifywise_mlflow.services.webhooks.support import WebhookSupport
from verifywise_mlflow.tenants.mlflow_webhooks import Webhooks


@value_object
class ServerSettingRow:
    """An environment variable of MLflow's server."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    name: str
    """The variable."""
    value: str
    """The value to set, and when to set it."""
    is_private: bool
    """Whether MLflow does not document the variable. Such a variable is for test networks and for listeners with a
    private address."""


@value_object
class WebhookFindingRow:
    """A difference between the registered webhooks and the webhook that is needed."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    kind: str
    """missing, disabled or superfluous."""
    finding: str
    """What was found, and what to do."""


@value_object
class WebhookDeliveries:
    """What the listener and the syncs have recorded."""

    __pydantic_config__: ClassVar[ConfigDict] = DESCRIBED

    is_alive: bool
    """Whether a delivery has arrived within the time webhooks.alive_for, and polling found no unreported change in this
    time."""
    last_delivery_at: datetime | None
    """When the last delivery with a valid signature arrived, UTC. Test calls count."""
    last_event_at: datetime | None
    """When the last delivery that named a change arrived, UTC."""
    last_missed_at: datetime | None
    """When polling last found a change that a webhook should have reported, UTC."""
    pending_hints: int
    """The number of objects that no sync has read since an event named them."""
    oldest_hint_at: datetime | None
    """When an event first named the oldest of these objects, UTC."""


class WebhooksDocument(JsonDocument):
    """How to register the webhook of a tenant in MLflow."""

    NAME: ClassVar[str] = "webhooks"

    tenant: str
    """The tenant's name in tenants.yaml."""
    server_version: str | None
    """The release that the MLflow server reports; null if unknown."""
    has_webhooks: bool
    """Whether that release can send webhooks. If it cannot, polling continues."""
    server: str
    """The same fact in a sentence, or why the server could not be read."""
    url_prefix: str
    """The address to deliver to, without the path secret at its end."""
    path_reference: str
    """The reference to that path secret."""
    secret_reference: str
    """The reference to the secret that MLflow is to sign with."""
    workspace: str | None
    """The workspace in which to register the webhook."""
    events: tuple[str, ...]
    """The events for which to register the webhook."""
    settings: tuple[ServerSettingRow, ...]
    """Variables of MLflow's server."""
    python: str
    """A program that registers the webhook and makes MLflow test it."""
    curl: str
    """Shell commands that do the same."""


class WebhookCheckDocument(JsonDocument):
    """Whether a tenant's webhook is registered as needed, and whether it delivers."""

    NAME: ClassVar[str] = "webhook-check"

    at: datetime
    """When the webhooks were checked, UTC."""
    tenant: str
    """The tenant's name in tenants.yaml."""
    is_as_wanted: bool
    """Whether MLflow lists the webhook with all events, and nothing is to be done."""
    server_version: str | None
    """The release that the MLflow server reports; null if unknown."""
    not_listed_because: str | None
    """Why the webhooks could not be listed; null if they were listed."""
    problems: tuple[str, ...]
    """Why the list may be incomplete."""
    delivered_events: tuple[str, ...]
    """The events that this product needs and that an active webhook delivers."""
    findings: tuple[WebhookFindingRow, ...]
    """What is missing, disabled or superfluous."""
    other_webhooks: int | None
    """The number of webhooks that lead to other services; null if the webhooks could not be listed."""
    deliveries: WebhookDeliveries
    """The deliveries so far."""


def webhooks_document(registration: Registration, webhooks: Webhooks, support: WebhookSupport) -> WebhooksDocument:
    """Return the document about a registration."""
    return WebhooksDocument(
        tenant=registration.tenant_id,
        server_version=support.version,
        has_webhooks=bool(support.events),
        server=support.sentence,
        url_prefix=registration.url_prefix,
        path_reference=str(webhooks.path),
        secret_reference=str(webhooks.secret[0]),
        workspace=registration.workspace,
        events=tuple(registration.events),
        settings=tuple(
            ServerSettingRow(name, value, is_private)
            for settings, is_private in ((SERVER_SETTINGS, False), (PRIVATE_SETTINGS, True))
            for name, value in settings.items()
        ),
        python=registration.python(),
        curl=registration.curl(),
    )


def webhook_check_document(
    tenant: str, check: WebhookCheck, support: WebhookSupport, at: datetime
) -> WebhookCheckDocument:
    """Return the document about a check."""
    comparison = check.comparison
    return WebhookCheckDocument(
        at=at,
        tenant=tenant,
        is_as_wanted=check.is_as_wanted,
        server_version=support.version,
        not_listed_because=check.unlisted_because,
        problems=check.problems,
        delivered_events=comparison.delivered_events if comparison else (),
        findings=tuple(WebhookFindingRow(found.kind, found.sentence) for found in comparison.findings)
        if comparison
        else (),
        other_webhooks=comparison.elsewhere if comparison else None,
        deliveries=_deliveries(check.deliveries, is_alive=check.is_alive),
    )


def _deliveries(deliveries: Deliveries, *, is_alive: bool) -> WebhookDeliveries:
    status = deliveries.status
    return WebhookDeliveries(
        is_alive=is_alive,
        last_delivery_at=status.last_delivery_at,
        last_event_at=status.last_event_at,
        last_missed_at=status.last_missed_at,
        pending_hints=deliveries.pending_hints,
        oldest_hint_at=deliveries.oldest_hint_at,
    )
