"""Reads Dagster's migration scripts once per process instead of each time that Dagster opens a SQLite file.

Dagster opens three files for an instance and one for each run. Each time, alembic compiles a hundred scripts to find
the newest script. This takes two thirds of the time of many tests.
"""

from __future__ import annotations

from alembic.config import Config
from alembic.script import ScriptDirectory

_directories: dict[str, ScriptDirectory] = {}
_read = ScriptDirectory.from_config


def cache_scripts() -> None:
    """Make alembic cache Dagster's script directories, which do not change. Other directories are read again."""
    ScriptDirectory.from_config = _from_config  # type: ignore[method-assign]  # a function serves as well


def _from_config(config: Config) -> ScriptDirectory:
    location = config.get_main_option("script_location") or ""
    if "dagster" not in location:
        return _read(config)
    if location not in _directories:
        _directories[location] = _read(config)
    return _directories[location]
