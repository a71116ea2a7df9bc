"""The protocol of alert targets and the base of their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from verifywise_mlflow.alerts.alert import Alert

DELIVERY_TIMEOUT_S = 8.0
"""The timeout of each step of a delivery, in seconds. Dagster discards a sensor tick that takes 60 s."""


class DeliveryError(Exception):
    """A target did not accept the alerts. The message contains no secret and does not quote the target's response."""


class TargetSettings(BaseModel):
    """Base of the settings in alerts.yaml."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class AlertTarget(Protocol):
    """Accepts alerts."""

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Deliver one or more alerts.

        Raises:
            DeliveryError: The target did not accept them.
            SecretUnavailableError: A reference to a secret cannot be resolved.
        """
