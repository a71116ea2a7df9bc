"""What all targets have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from verifywise_mlflow.alerts.alert import Alert

SECONDS = 8.0
"""For each step of a delivery. A round of the sensor that takes 60 s is thrown away as a whole."""


class NotDeliveredError(Exception):
    """A target did not take the alerts. The message names no secret, and quotes nothing that the other side said."""


class Described(BaseModel):
    """A target as alerts.yaml describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Target(Protocol):
    """Something that takes alerts."""

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Hand over alerts, one or more.

        Raises:
            NotDeliveredError: the other side did not take them.
            SecretUnavailableError: a reference to a secret points to nothing.
        """
