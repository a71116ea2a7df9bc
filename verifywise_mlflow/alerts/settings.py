"""Reads ``alerts.yaml``, the targets of alerts. It contains secrets by reference only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from verifywise_mlflow.alerts.targets.email import EmailTarget
from verifywise_mlflow.alerts.targets.log import LogTarget
from verifywise_mlflow.alerts.targets.target import TargetSettings
from verifywise_mlflow.alerts.targets.webhook import WebhookTarget
from verifywise_mlflow.common.strict_yaml import load_strict_yaml
from verifywise_mlflow.common.validation_errors import correction_for, field_path

ALERTS_FILE_VARIABLE = "VERIFYWISE_ALERTS"
"""The environment variable with the path of the file. Without it, alerts go to the log."""


class InvalidAlertsFileError(ValueError):
    """The file is invalid. The message names the field and the remedy, and quotes none of the file's values."""


class AlertSettings(TargetSettings):
    """The content of alerts.yaml."""

    targets: tuple[Annotated[LogTarget | WebhookTarget | EmailTarget, Field(discriminator="kind")], ...] = (
        LogTarget(),
    )


def load_alert_settings() -> AlertSettings:
    """Load the file that the environment variable names.

    Raises:
        InvalidAlertsFileError: The file is invalid or unreadable.
    """
    path = os.environ.get(ALERTS_FILE_VARIABLE)
    if not path:
        return AlertSettings()
    try:
        document = load_strict_yaml(Path(path).read_text(encoding="utf-8"))
        return AlertSettings.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_input=False)
        problems = [
            f"{field_path(detail['loc'])}: {correction_for(detail['type'], detail['msg'])}" for detail in details
        ]
        raise InvalidAlertsFileError(f"{path}: {'; '.join(problems)}") from None
    except OSError as error:
        raise InvalidAlertsFileError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        # The line itself is not quoted: it may contain a misplaced secret.
        raise InvalidAlertsFileError(f"{path} is not YAML{f', line {mark.line + 1}' if mark else ''}") from None
