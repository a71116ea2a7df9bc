"""The section ``delivery`` of a tenant: one key per kind of target."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import field_validator

from verifywise_mlflow.tenants.delivery.openlineage import OPENLINEAGE, OpenLineageSettings
from verifywise_mlflow.tenants.delivery.target_name import TargetName
from verifywise_mlflow.tenants.delivery.verifywise import VERIFYWISE, VerifyWiseSettings
from verifywise_mlflow.tenants.delivery.webhooks import WebhookSettings
from verifywise_mlflow.tenants.validators import ConfigSection


class Delivery(ConfigSection):
    """Where a tenant's verdicts are delivered."""

    verifywise: VerifyWiseSettings | None = None
    webhooks: tuple[WebhookSettings, ...] = ()
    openlineage: OpenLineageSettings | None = None

    @field_validator("webhooks")
    @classmethod
    def _have_different_names(cls, webhooks: tuple[WebhookSettings, ...]) -> tuple[WebhookSettings, ...]:
        if len({webhook.name for webhook in webhooks}) < len(webhooks):
            raise ValueError("two webhooks have the same name: rename one")
        return webhooks

    def targets(self) -> tuple[TargetName, ...]:
        """Return the names of the configured targets; the outbox has rows only for these targets."""
        return (*self.state_targets(), *(webhook.target for webhook in self.webhooks))

    def state_targets(self) -> tuple[TargetName, ...]:
        """Return the targets that get the state of each version that changes. Webhooks get events instead."""
        return tuple(self._state_targets())

    def _state_targets(self) -> Iterator[TargetName]:
        if self.verifywise:
            yield VERIFYWISE
        if self.openlineage:
            yield OPENLINEAGE
