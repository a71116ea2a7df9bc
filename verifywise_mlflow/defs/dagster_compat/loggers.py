"""The loggers of runs, and of the ticks of sensors and schedules."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Final

_MODULES_WITH_CONSOLE: Final = ("dagster._loggers", "dagster._core.definitions.instigation_logger")
"""The modules that create loggers for the console, for runs and for ticks of sensors and schedules."""


def log_runs_by(handler: logging.Handler) -> None:
    """Make runs, sensors and schedules log to a handler instead of the console, also in processes forked from this one.

    dagster.yaml can only add handlers, and the loggers of a job are used only if the configuration of a run names them.
    """

    def create_logger(name: str, level: str | int) -> logging.Logger:
        logger = logging.Logger(name, level)  # not in Python's hierarchy, like Dagster's: no record is written twice
        logger.addHandler(handler)
        return logger

    for module in _MODULES_WITH_CONSOLE:
        import_module(module).create_console_logger = create_logger  # type: ignore[attr-defined]
