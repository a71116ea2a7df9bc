"""Secrets that are mounted as files, for settings that are read from environment variables.

``NAME_FILE`` names the file that holds the value of ``NAME``, as in the official images of Postgres. A file keeps the
secret out of the container's configuration. Everybody who may list containers can read this configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from verifywise_mlflow.instance_settings import InvalidSettingError

SECRET_VARIABLES: Final = (
    "VERIFYWISE_DATABASE_URL",
    "VERIFYWISE_BROKER_URL",
    "DAGSTER_PG_USERNAME",
    "DAGSTER_PG_PASSWORD",
)
"""The variables whose value may come from a file."""

MAX_BYTES: Final = 65_536


def read_secret_files(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the content of each ``NAME_FILE`` as ``NAME``. A final line break is removed.

    Raises:
        InvalidSettingError: a file cannot be read, is empty or too large, or both variables are set. Messages name
            variables and paths, never values.
    """
    resolved = dict(environment)
    for name in SECRET_VARIABLES:
        variable = f"{name}_FILE"
        path = resolved.pop(variable, "")
        if not path:
            continue
        if resolved.get(name):
            raise InvalidSettingError(f"{name} and {variable} are both set. Set one of them")
        resolved[name] = _content(variable, Path(path))
    return resolved


def _content(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidSettingError(f"{variable} names {path}, which cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise InvalidSettingError(f"{variable} names {path}, which has more than {MAX_BYTES:,} bytes")
    try:
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InvalidSettingError(f"{variable} names {path}, which is not text in UTF-8") from error
    if not text or "\0" in text:
        raise InvalidSettingError(f"{variable} names {path}, which is empty or holds a null byte")
    return text
