"""The priorities of runs, which decide in which order queued runs start: the highest first, then the oldest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from verifywise_mlflow.defs.run_tags import BACKFILL_TAG, PRIORITY_TAG, SCHEDULE_TAG, SENSOR_TAG

MANUAL_PRIORITY: Final = 10
"""The priority of a run that a person starts."""
TARGETED_PRIORITY: Final = 8
"""The priority of a targeted sync: a change waits for it, and it takes only a few requests."""
SENSOR_PRIORITY: Final = 5
SCHEDULE_PRIORITY: Final = 0
RUN_DELETION_PRIORITY: Final = -5
"""The priority of the job that deletes old runs, even if a person starts it."""
BACKFILL_PRIORITY: Final = -10

_BY_REQUESTER: Final = (
    (BACKFILL_TAG, BACKFILL_PRIORITY),
    (SCHEDULE_TAG, SCHEDULE_PRIORITY),
    (SENSOR_TAG, SENSOR_PRIORITY),
)


def default_priority(tags: Mapping[str, str]) -> int:
    """Return a run's priority by its requester: a person, then a sensor, then a schedule, then a backfill."""
    return next((priority for tag, priority in _BY_REQUESTER if tag in tags), MANUAL_PRIORITY)


def effective_priority(tags: Mapping[str, str]) -> int:
    """Return a queued run's priority as Dagster reads it: from the priority tag, if the run has one."""
    tag = tags.get(PRIORITY_TAG)
    try:
        return default_priority(tags) if tag is None else int(tag)
    except ValueError:
        return 0
