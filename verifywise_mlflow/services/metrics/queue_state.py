"""The state of Dagster's run queue and daemons, as ``defs/run_queue/queue_reading.py`` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueState:
    """The runs that have not ended, and the daemons."""

    runs: Mapping[str, int]
    """The number of runs by status in lower case, such as ``queued``, including statuses without runs."""
    oldest_queued_seconds: float
    """How long the oldest queued run has waited; 0 if no run waits."""
    daemons: Mapping[str, bool]
    """Whether each daemon that the instance needs has reported lately that it runs, by the daemon's name."""
