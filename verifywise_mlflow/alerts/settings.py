"""Reads ``alerts.yaml``: where alerts go. Secrets stand there by reference only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from verifywise_mlflow.alerts.targets.email import EmailTarget
from verifywise_mlflow.alerts.targets.log import LogTarget
from verifywise_mlflow.alerts.targets.target import Described
from verifywise_mlflow.alerts.targets.webhook import WebhookTarget
from verifywise_mlflow.common.strict_yaml import UniqueKeyLoader

VARIABLE = "VERIFYWISE_ALERTS"
"""The environment variable that names the file. Without it, alerts go to the log."""


class AlertsFileError(ValueError):
    """The file cannot be used. The message names the field and the mend, and holds none of the file's values."""


class AlertSettings(Described):
    """What alerts.yaml says."""

    targets: tuple[Annotated[LogTarget | WebhookTarget | EmailTarget, Field(discriminator="kind")], ...] = (
        LogTarget(),
    )


def alert_settings() -> AlertSettings:
    """Return the settings of the file that the environment names.

    Raises:
        AlertsFileError: the file cannot be used.
    """
    path = os.environ.get(VARIABLE)
    if not path:
        return AlertSettings()
    try:
        document = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=UniqueKeyLoader)  # noqa: S506  # a SafeLoader
        return AlertSettings.model_validate(document)
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)]
        raise AlertsFileError(f"{path}: {'; '.join(wrong)}") from None
    except OSError as error:
        raise AlertsFileError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        # Without the line itself, which may hold a secret that does not belong there.
        raise AlertsFileError(f"{path} is not YAML{f', line {mark.line + 1}' if mark else ''}") from None
