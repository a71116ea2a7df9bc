"""Loads a settings file in YAML into a pydantic model. No message quotes a value, which may be a misplaced secret."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from verifywise_mlflow.common.strict_yaml import load_strict_yaml
from verifywise_mlflow.common.validation_errors import correction_for, field_path

Settings = TypeVar("Settings", bound=BaseModel)


class InvalidSettingsFileError(ValueError):
    """The file is invalid or unreadable. The message names the field and the remedy."""


def load_settings_file(path: str, model: type[Settings]) -> Settings:
    """Load a file.

    Raises:
        InvalidSettingsFileError: The file is invalid or unreadable.
    """
    try:
        return model.model_validate(load_strict_yaml(Path(path).read_text(encoding="utf-8")))
    except ValidationError as error:
        details = error.errors(include_input=False)
        problems = [
            f"{field_path(detail['loc'])}: {correction_for(detail['type'], detail['msg'])}" for detail in details
        ]
        raise InvalidSettingsFileError(f"{path}: {'; '.join(problems)}") from None
    except OSError as error:
        raise InvalidSettingsFileError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        # The line itself is not quoted.
        raise InvalidSettingsFileError(f"{path} is not YAML{f', line {mark.line + 1}' if mark else ''}") from None
