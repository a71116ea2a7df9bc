"""Reads the state of Dagster's run queue and daemons, for the metrics and for ``doctor``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster import DagsterRunStatus as Status

from verifywise_mlflow.services.metrics.collector import QueueUnreadableError
from verifywise_mlflow.services.metrics.queue_state import QueueState

_UNFINISHED = (Status.QUEUED, Status.NOT_STARTED, Status.STARTING, Status.STARTED, Status.CANCELING)


class QueueReader:
    """Reads the queue of the instance that DAGSTER_HOME names, which stays open between two readings."""

    def __init__(self) -> None:
        self._instance: dg.DagsterInstance | None = None

    def __call__(self) -> QueueState:
        """Return the queue's state.

        Raises:
            QueueUnreadableError: the instance is not configured, or its database cannot be read.
        """
        with _named_failure():
            if self._instance is None:
                self._instance = dg.DagsterInstance.get()
            return queue_state(self._instance, time.time())


def queue_state(instance: dg.DagsterInstance, now: float) -> QueueState:
    """Return the state of an instance's queue at a time, in seconds since 1970."""
    runs = {status.value.lower(): instance.get_runs_count(dg.RunsFilter(statuses=[status])) for status in _UNFINISHED}
    queued = dg.RunsFilter(statuses=[Status.QUEUED])
    oldest = instance.get_run_records(filters=queued, limit=1, ascending=True)
    waited = max(now - oldest[0].create_timestamp.timestamp(), 0.0) if oldest else 0.0
    daemons = {
        name: status.healthy is True for name, status in instance.get_daemon_statuses().items() if status.required
    }
    return QueueState(runs, waited, daemons)


@contextmanager
def _named_failure() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  # Dagster, its storage and its configuration have no common error
        # The error's text is left out, since it may quote the URL of Dagster's database.
        raise QueueUnreadableError(f"Dagster's instance cannot be read ({type(error).__name__})") from None
