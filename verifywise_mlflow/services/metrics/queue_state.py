"""The state of Dagster's run queue and daemons, as ``defs/run_queue/queue_reading.py`` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueState:
    """The runs that have not ended, and the daemons."""

    runs: Mapping[str, int]
    """By status in lower case, such as ``queued``; statuses without runs included."""
    oldest_queued_seconds: float
    """How long the oldest queued run has waited; 0 if none waits."""
    daemons: Mapping[str, bool]
    """The daemons that the instance needs, and whether each has reported lately."""
