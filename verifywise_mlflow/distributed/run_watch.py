"""Watches a run from inside its process: keeps the lease, and ends the process if it no longer has the run.

The watch is a thread that reads the run's status every two seconds over the session that holds the lease. In this way,
without the broker, the process detects that a person has canceled the run, that a monitor has given up the run, or that
the connection is lost. Each heartbeat resets the process's alarm: without a heartbeat, the kernel ends the process,
even if it hangs in a call that never returns.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from verifywise_mlflow.persistence.run_leases import (
    HEARTBEAT_SECONDS,
    SESSION_TIMEOUT_SECONDS,
    LeaseLostError,
    RunLease,
)

SILENCE_SECONDS: Final = SESSION_TIMEOUT_SECONDS - 10
"""A process that cannot reach its database for this time ends itself, before Postgres releases the lease and the run is
retried."""
END_SECONDS: Final = 15
"""How long a process may take to clean up after its run has ended."""
_ENDED: Final = frozenset({"SUCCESS", "FAILURE", "CANCELED"})


class Action(Enum):
    """The action of a process on its run."""

    CONTINUE = "continue"
    INTERRUPT = "interrupt"
    """Stop the run in order: its sync ends, with an entry in the audit trail."""
    KILL = "kill"


def next_action(status: str | None, ended_seconds: float) -> Action:
    """Return the action that follows from the last heartbeat.

    Args:
        status: the run's status in Dagster's database; None if it could not be read.
        ended_seconds: the seconds since the run was first seen to have ended.
    """
    if status in _ENDED:
        return Action.KILL if ended_seconds >= END_SECONDS else Action.CONTINUE
    return Action.INTERRUPT if status == "CANCELING" else Action.CONTINUE


@contextmanager
def watch(lease: RunLease) -> Iterator[None]:
    """Watch the lease's run while the block runs. Only the main thread may call it."""
    done = threading.Event()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the default action ends the process
    _set_alarm()
    thread = threading.Thread(target=_watch, args=(lease, done), name="run watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        signal.setitimer(signal.ITIMER_REAL, 0)


def _set_alarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, SILENCE_SECONDS)


def _watch(lease: RunLease, done: threading.Event) -> None:
    log = logging.getLogger(__name__)
    ended_at = None
    while not done.wait(HEARTBEAT_SECONDS):
        try:
            status = lease.renew()
            _set_alarm()
        except LeaseLostError as error:
            log.warning("run %s: %s", lease.run_id, error)
            continue
        now = time.monotonic()
        if status in _ENDED and ended_at is None:
            ended_at = now
        action = next_action(status, 0 if ended_at is None else now - ended_at)
        if action is Action.KILL and not done.is_set():
            log.error("run %s has ended, and its process has not: it is killed", lease.run_id)
            os.kill(os.getpid(), signal.SIGKILL)
        if action is Action.INTERRUPT:
            # The interrupt is repeated at each heartbeat: after the first interrupt, Dagster retries the step by its
            # retry policy.
            os.kill(os.getpid(), signal.SIGTERM)
