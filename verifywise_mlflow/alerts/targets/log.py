"""Alerts as lines of the log."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

from verifywise_mlflow.alerts.alert import Alert
from verifywise_mlflow.alerts.targets.target import Described

LOGGER = "verifywise_mlflow.alerts"


class LogTarget(Described):
    """The logger ``verifywise_mlflow.alerts``: what is wrong as an error, what is well again as a warning."""

    kind: Literal["log"] = "log"

    def deliver(self, alerts: Sequence[Alert]) -> None:
        """Write a line an alert."""
        for alert in alerts:
            level = logging.ERROR if alert.state == "raised" else logging.WARNING
            logging.getLogger(LOGGER).log(level, "%s", alert.line())
