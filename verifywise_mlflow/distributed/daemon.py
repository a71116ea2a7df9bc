"""Dagster's daemon with a lease: one of several daemons works, and another daemon takes over when the first one ends.

``python -m verifywise_mlflow.distributed.daemon`` takes the options of ``dagster-daemon run``. Two plain daemons would
both evaluate each sensor and submit each backfill: Dagster only logs that another daemon sends heartbeats. Our daemon
also reacts sooner: to a queued run at once, and to a due sensor within a second.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from importlib.metadata import entry_points
from typing import Final, Protocol, runtime_checkable

import dagster as dg

from verifywise_mlflow.defs.dagster_compat.connections import postgres_url, share_connections
from verifywise_mlflow.defs.dagster_compat.daemon import evaluate_sensors_every, look_at_queue_on
from verifywise_mlflow.defs.run_tags import BACKFILL_TAG
from verifywise_mlflow.distributed.queue_listener import set_on_new_runs
from verifywise_mlflow.observability.json_logs import install_json_logs
from verifywise_mlflow.persistence.run_leases import (
    DAEMON,
    HEARTBEAT_SECONDS,
    SESSION_TIMEOUT_SECONDS,
    LeaseLostError,
    LeaseTakenError,
    RunLease,
    RunLeases,
)

SENSOR_LOOP_SECONDS: Final = 1.0
"""The time between two searches for due sensors. After a change, the sensor mlflow_changes is evaluated again within
this time."""
STANDBY_SECONDS: Final = 5.0
"""The time between two attempts to take over."""
SILENCE_SECONDS: Final = SESSION_TIMEOUT_SECONDS / 2
"""If no heartbeat succeeds for this time, the daemon ends itself. A heartbeat may take 12 s to fail. Even then, the
daemon ends before Postgres gives the lease to another daemon."""
_LOG: Final = logging.getLogger(__name__)


@runtime_checkable
class MessageLauncher(Protocol):
    """A launcher that can send the message of a run again. It describes ``launcher.py`` without importing Celery."""

    def send(self, run: dg.DagsterRun) -> None:
        """Send a run's message."""


def acquire(leases: RunLeases) -> RunLease:
    """Return the daemon's lease; wait while another daemon holds it."""
    lease = leases.acquire(DAEMON)
    if lease is None:
        _LOG.warning("another daemon works: this one takes over when that one ends")
    while lease is None:
        time.sleep(STANDBY_SECONDS)
        lease = leases.acquire(DAEMON)
    _LOG.warning("this daemon works from now on")
    return lease


def keep(lease: RunLease) -> None:
    """Renew the lease for as long as this process lives, and end the process if the renewal fails."""
    renewed_at = time.monotonic()
    while True:
        time.sleep(HEARTBEAT_SECONDS)
        try:
            lease.renew()
            renewed_at = time.monotonic()
        except LeaseLostError as error:
            _LOG.warning("the daemon's lease: %s", error)
            if isinstance(error, LeaseTakenError) or time.monotonic() - renewed_at > SILENCE_SECONDS:
                _LOG.error("this daemon ends: it has lost its lease, and another one works or will")
                os._exit(1)  # not by a signal, which the first process of a container would ignore


def finish_launches(instance: dg.DagsterInstance, launcher: object) -> None:
    """Finish what the last daemon may have left unfinished: queueing a run of a backfill, or sending a message.

    Otherwise such a run would fail after a time-out and be retried. A run whose message is sent twice is executed once.
    """
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED])):
        if (
            BACKFILL_TAG in run.tags
        ):  # only the daemon creates runs of backfills; Dagster itself repairs runs of sensors and schedules
            instance.submit_run(run.run_id, workspace=None)  # type: ignore[arg-type]  # our coordinator reads none
    if not isinstance(launcher, MessageLauncher):
        return
    try:
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])):
            launcher.send(run)
    except Exception as error:  # noqa: BLE001  # each transport has errors of its own, whose text may have the URL
        _LOG.warning("the launches of starting runs were not repeated: %s", type(error).__name__)


def react_at_once(dagster_url: str) -> None:
    """Make Dagster's daemon look at the run queue whenever a run is queued, and at its sensors more often."""
    has_new_run = threading.Event()
    evaluate_sensors_every(SENSOR_LOOP_SECONDS)
    look_at_queue_on(has_new_run)
    arguments = (has_new_run, dagster_url, threading.Event())
    threading.Thread(target=set_on_new_runs, args=arguments, name="queue", daemon=True).start()


def main() -> None:
    """Wait until no other daemon works, then work as Dagster's daemon until a signal."""
    install_json_logs()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the first process of a container ignores it by default
    share_connections()
    with dg.DagsterInstance.get() as instance, acquire(RunLeases(postgres_url(instance))) as lease:
        threading.Thread(target=keep, args=(lease,), name="lease", daemon=True).start()
        finish_launches(instance, instance.run_launcher)
        react_at_once(postgres_url(instance))
        (command,) = entry_points(group="console_scripts", name="dagster-daemon")
        sys.argv = ["dagster-daemon", "run", *sys.argv[1:]]
        command.load()()


if __name__ == "__main__":
    main()
