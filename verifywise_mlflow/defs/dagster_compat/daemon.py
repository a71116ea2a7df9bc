"""The loops of Dagster's daemon, which decide how soon it notices a due sensor and a queued run."""

from __future__ import annotations

import threading
import time
from functools import wraps
from importlib import import_module
from typing import Any

import dagster as dg


def evaluate_sensors_every(seconds: float) -> None:
    """Make the daemon of this process look for due sensors every ``seconds``; Dagster's default is five seconds."""
    import_module("dagster._daemon.sensor").MIN_INTERVAL_LOOP_TIME = seconds  # type: ignore[attr-defined]


def look_at_queue_on(has_new_run: threading.Event) -> None:
    """Make the daemon of this process look at the run queue as soon as an event is set, not only once per interval.

    Dagster's interval is a whole number of seconds, and a run waits for half of it on average.
    """
    daemon = import_module("dagster._daemon.run_coordinator.queued_run_coordinator_daemon").QueuedRunCoordinatorDaemon
    end_of_look = import_module("dagster._daemon.daemon").SpanMarker.END_SPAN
    core_loop = daemon.core_loop

    @wraps(core_loop)
    def look(self: Any, context: Any, shutdown_event: threading.Event) -> Any:  # Any: Dagster's own types, passed on
        self.interval_seconds = 0
        for step in core_loop(self, context, shutdown_event):
            yield step
            if step is end_of_look:
                next_look = time.monotonic() + context.instance.run_coordinator.dequeue_interval_seconds
                while (remaining := next_look - time.monotonic()) > 0 and not shutdown_event.is_set():
                    if has_new_run.wait(min(remaining, 0.5)):
                        break
                    yield None
                has_new_run.clear()  # cleared before the next look: a run that is queued later sets it again

    daemon.core_loop = look


def has_sensor_threads(instance: dg.DagsterInstance) -> bool:
    """Return whether sensors have threads, so that a slow tick does not delay other sensors."""
    settings = instance.get_sensor_settings()
    return bool(settings and settings.get("use_threads"))
