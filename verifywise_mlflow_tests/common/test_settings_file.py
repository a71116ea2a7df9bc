"""A settings file that cannot be used is refused with its line, and without quoting a value."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from verifywise_mlflow.common.settings_file import InvalidSettingsFileError, load_settings_file


class Settings(BaseModel):
    port: int = 0


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"port: hunter2", "port: "),
        (b"port: 1\nport: 2", "is not YAML, line 2"),
        (b"port: 1\nday: 2026-13-45", "is not YAML, line 2"),
        (b"port: \xff", "is not YAML"),
        (b"port: " + b"[" * 5_000, "is not YAML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)

    with pytest.raises(InvalidSettingsFileError) as raised:
        load_settings_file(str(path), Settings)

    assert str(raised.value).startswith(f"{path}")
    assert problem in str(raised.value)
    assert "hunter2" not in str(raised.value)
