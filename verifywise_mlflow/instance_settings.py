"""The numeric settings of the Dagster instance: environment variables, their defaults and their limits.

``dagster_yaml.py`` writes most of them to dagster.yaml; ``defs/run_retention`` reads the retention of runs itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

INTEGER_SETTINGS: Final[Mapping[str, tuple[int, str]]] = {
    "VERIFYWISE_MAX_CONCURRENT_SYNCS": (8, "concurrent runs, over all tenants"),
    "VERIFYWISE_MAX_CONCURRENT_DELIVERIES": (2, "concurrent runs that deliver, in addition to those"),
    "VERIFYWISE_MAX_CONCURRENT_SYNCS_PER_SERVER": (2, "concurrent runs whose tenants share one MLflow server"),
    "VERIFYWISE_MAX_CONCURRENT_BACKFILL_SYNCS": (6, "concurrent runs of backfills; the others are left to the sensors"),
    "VERIFYWISE_MAX_CONCURRENT_SLOW_SYNCS": (4, "concurrent runs of slow tenants; the others are left to fast ones"),
    "VERIFYWISE_SLOW_SYNC_SECONDS": (120, "of one of a tenant's last three runs, from which on the tenant is slow"),
    "VERIFYWISE_DEQUEUE_INTERVAL_SECONDS": (1, "between two checks of the run queue"),
    "VERIFYWISE_RUN_START_TIMEOUT_SECONDS": (120, "until a run that does not start is marked as failed"),
    "VERIFYWISE_RUN_TIMEOUT_SECONDS": (7_200, "until a run that does not end is terminated"),
    "VERIFYWISE_RUN_CANCEL_TIMEOUT_SECONDS": (120, "until a run that does not stop is marked as canceled"),
    "VERIFYWISE_RUN_POLL_INTERVAL_SECONDS": (20, "between two checks of the runs' processes"),
    "VERIFYWISE_RUN_MAX_RETRIES": (1, "retries of a run whose process died"),
    "VERIFYWISE_SKIPPED_TICK_RETENTION_DAYS": (2, "for ticks of sensors and schedules that requested nothing"),
    "VERIFYWISE_TICK_RETENTION_DAYS": (14, "for ticks that requested runs"),
    "VERIFYWISE_FAILED_TICK_RETENTION_DAYS": (30, "for ticks that failed"),
    # Dagster has no setting for these two periods: the job delete_old_runs reads them.
    "VERIFYWISE_UNCHANGED_RUN_RETENTION_DAYS": (7, "for runs that changed nothing, with their events"),
    "VERIFYWISE_RUN_RETENTION_DAYS": (90, "for all other runs"),
}
"""Each variable with its default and the meaning of its number."""

_MAX_INTEGER: Final = 1_000_000


class InvalidSettingError(ValueError):
    """An environment variable has an invalid value."""


def integer_setting(environment: Mapping[str, str], name: str) -> int:
    """Return the value of one of ``INTEGER_SETTINGS``, or its default.

    Raises:
        InvalidSettingError: the value is not a whole number, or is out of range.
    """
    default, description = INTEGER_SETTINGS[name]
    text = (environment.get(name) or str(default)).strip()
    minimum = 0 if name == "VERIFYWISE_RUN_MAX_RETRIES" else 1
    if not (text.isascii() and text.isdigit() and minimum <= int(text[:10]) <= _MAX_INTEGER):
        raise InvalidSettingError(
            f"{name} ({description}) is {text[:40]!r}. It must be a whole number from {minimum} to {_MAX_INTEGER:,}"
        )
    return int(text)
