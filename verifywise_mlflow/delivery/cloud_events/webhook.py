"""A webhook as a target of deliveries. It posts the pending events. The events of one version are posted in order.

Delivery is at least once. An event is removed after the webhook has accepted it. If the process is killed in between,
the next delivery sends the event again, with the same bytes and the same id. If an event is not accepted, the later
events of its version wait, so that their order is kept. Events of other versions do not wait.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from verifywise_mlflow.alerts.alert import escape_alert_text
from verifywise_mlflow.alerts.chat_text import chat_text
from verifywise_mlflow.delivery.batch_outcomes import BatchOutcomes
from verifywise_mlflow.delivery.cloud_events.signature import InvalidSecretError, signature_headers
from verifywise_mlflow.delivery.http_post import EventConnection, Receiver, open_receiver
from verifywise_mlflow.delivery.target import BatchResult, CheckFinding, Plan, PlannedChange
from verifywise_mlflow.http.errors import HttpError, InvalidSettingsError
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import delivery_events
from verifywise_mlflow.persistence.repositories.delivery_events import WaitingEvent
from verifywise_mlflow.persistence.repositories.delivery_outbox import PendingVersion
from verifywise_mlflow.persistence.store import Store
from verifywise_mlflow.services.version_events.event import CloudEvent
from verifywise_mlflow.tenants.delivery.target_name import TargetName
from verifywise_mlflow.tenants.delivery.webhooks import WebhookSettings
from verifywise_mlflow.tenants.errors import SecretUnavailableError

CLOUD_EVENT: Final = "application/cloudevents+json; charset=utf-8"
EVENTS_READ_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook of a tenant."""

    store: Store
    tenant_id: str
    settings: WebhookSettings
    batch_size: int = 50
    confirm_above: int | None = None
    delivers_existing: bool = False

    @property
    def name(self) -> TargetName:
        """The target's name in the outbox and on the command line."""
        return self.settings.target

    @property
    def address(self) -> str:
        """The reference of the webhook's address. The address is a secret."""
        return str(self.settings.url)

    @property
    def settings_digest(self) -> str:
        """A constant digest: changed settings apply to later events only, so no version becomes pending again."""
        return fingerprint(self.name)

    def check(self) -> Sequence[CheckFinding]:
        """Check whether the secrets can be used and whether a server responds. No event is sent."""
        try:
            with self.connect() as connection:
                sentence = f"it responded with {connection.options()} to OPTIONS; no event was sent"
        except (HttpError, SecretUnavailableError) as error:
            return [CheckFinding(self.name, works=False, sentence=str(error))]
        return [CheckFinding(self.name, works=True, sentence=sentence)]

    @contextmanager
    def connect(self) -> Iterator[WebhookConnection]:
        """Resolve the secrets and open connections."""
        settings = self.settings
        secrets = [secret.resolve() for secret in settings.signing_secrets]
        for reference, secret in zip(settings.signing_secrets, secrets, strict=True):
            try:
                signature_headers("", b"", 0, [secret])
            except InvalidSecretError as error:
                raise InvalidSettingsError(
                    f"the signing secret {reference} cannot be used: {error}. Make one with: "
                    "echo whsec_$(openssl rand -base64 32)"
                ) from None
        receiver = Receiver.of(settings, settings.url.resolve(), f"the webhook {settings.name}")
        with open_receiver(receiver) as connection:
            yield WebhookConnection(self, connection, secrets)


@dataclass(slots=True)
class WebhookConnection:
    """The open connections to a webhook, with the secrets that sign the events."""

    webhook: Webhook
    connection: EventConnection
    secrets: Sequence[str] = field(repr=False)

    @property
    def destination(self) -> str:
        """The reference of the webhook's address."""
        return self.webhook.address

    @property
    def identity(self) -> str:
        """The reference of the current signing secret, which proves our identity."""
        signing = self.webhook.settings.signing_secrets
        return f"signed with {signing[0]}" if signing else "not signed"

    def options(self) -> int:
        """Send OPTIONS, which changes nothing, and return the status of the response."""
        return self.connection.options()

    def plan(self, batches: Iterator[Sequence[PendingVersion]]) -> Plan:
        """Return the pending events, up to ``EVENTS_READ_AT_ONCE`` of each version. Nothing is sent."""
        changes = [
            PlannedChange("post event", *version.key, detail=json.loads(event.body)["type"])
            for batch in batches
            for version in batch
            for event in self._first_events(version)
        ]
        return Plan(changes)

    def deliver(self, batch: Sequence[PendingVersion]) -> BatchResult:
        """Post the events of these versions."""
        outcomes, posted = BatchOutcomes(batch), 0
        for version in batch:
            try:
                for event in self._waiting(version):
                    if not outcomes.may_continue:
                        return outcomes.result({"events posted": posted})
                    self._post(event)
                    posted += 1
            except HttpError as error:
                outcomes.record_failure(version, error)
            else:
                outcomes.record_success(version)
        return outcomes.result({"events posted": posted})

    def _waiting(self, version: PendingVersion) -> Iterator[WaitingEvent]:
        """Yield a version's events in their order. Each event must be removed before the next event is requested."""
        while events := self._first_events(version):
            yield from events

    def _first_events(self, version: PendingVersion) -> Sequence[WaitingEvent]:
        with self.webhook.store.begin(self.webhook.tenant_id) as session:
            return delivery_events.waiting_events(session, self.webhook.name, version.key, EVENTS_READ_AT_ONCE)

    def _post(self, event: WaitingEvent) -> None:
        content: CloudEvent = json.loads(event.body)
        if self.webhook.settings.format == "chat":
            body, content_type = chat_body(content), "application/json"
        else:
            body, content_type = event.body.encode("ascii"), CLOUD_EVENT
        signature = signature_headers(content["id"], body, int(time.time()), self.secrets) if self.secrets else {}
        self.connection.post(body, {"Content-Type": content_type, **signature})
        with self.webhook.store.begin(self.webhook.tenant_id) as session:
            delivery_events.remove(session, event)


def chat_body(event: CloudEvent) -> bytes:
    """Return an event as a message for Slack and compatible services."""
    data = event["data"]
    when = datetime.fromisoformat(event["time"]).strftime("%Y-%m-%d %H:%M:%SZ")
    line = f"{when} {data['tenant']} {data['model']} version {data['version']}: {data['summary']}"
    return json.dumps({"text": chat_text([escape_alert_text(line)])}).encode("ascii")
