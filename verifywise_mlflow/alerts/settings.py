"""Reads ``alerts.yaml``, the targets of alerts. It contains secrets by reference only."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field

from verifywise_mlflow.alerts.targets.email import EmailTarget
from verifywise_mlflow.alerts.targets.log import LogTarget
from verifywise_mlflow.alerts.targets.target import TargetSettings
from verifywise_mlflow.alerts.targets.webhook import WebhookTarget
from verifywise_mlflow.common.settings_file import load_settings_file

ALERTS_FILE_VARIABLE = "VERIFYWISE_ALERTS"
"""The environment variable with the path of the file. Without it, alerts go to the log."""


class AlertSettings(TargetSettings):
    """The content of alerts.yaml."""

    targets: tuple[Annotated[LogTarget | WebhookTarget | EmailTarget, Field(discriminator="kind")], ...] = (
        LogTarget(),
    )


def load_alert_settings() -> AlertSettings:
    """Load the file that the environment variable names.

    Raises:
        InvalidSettingsFileError: The file is invalid or unreadable.
    """
    path = os.environ.get(ALERTS_FILE_VARIABLE)
    return load_settings_file(path, AlertSettings) if path else AlertSettings()
