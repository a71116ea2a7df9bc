"""Writes alerts to the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.targets.target import TargetSettings

ALERTS_LOGGER = "verifywise_mlflow.alerts"


class LogTarget(TargetSettings):
    """The logger ``verifywise_mlflow.alerts``: raised alerts as errors, resolved alerts as warnings."""

    kind: Literal["log"] = "log"

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Write one line per alert."""
        for alert in alerts:
            level = logging.ERROR if alert.state == "raised" else logging.WARNING
            logging.getLogger(ALERTS_LOGGER).log(level, "%s", alert.line())
