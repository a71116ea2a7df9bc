"""The section ``delivery`` of a tenant: one key per kind of target."""

from __future__ import annotations

from collections.abc import Iterator

from verifywise_mlflow.tenants.delivery.openlineage import OpenLineageSettings
from verifywise_mlflow.tenants.delivery.target_name import TargetName
from verifywise_mlflow.tenants.delivery.verifywise import VERIFYWISE, VerifyWiseSettings
from verifywise_mlflow.tenants.delivery.webhooks import WebhookSettings
from verifywise_mlflow.tenants.validators import ConfigSection


class Delivery(ConfigSection):
    """Where a tenant's verdicts are delivered."""

    verifywise: VerifyWiseSettings | None = None
    webhooks: tuple[WebhookSettings, ...] = ()
    openlineage: OpenLineageSettings | None = None

    def targets(self) -> tuple[TargetName, ...]:
        """Return the names of the configured targets; the outbox has rows for these only."""
        return tuple(self._targets())

    def _targets(self) -> Iterator[TargetName]:
        if self.verifywise:
            yield VERIFYWISE
