"""A worker: imports everything once, then forks a process for each run that the broker delivers.

``verifywise-mlflow worker`` starts it as ``python -m verifywise_mlflow.distributed.worker PROCESSES``.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
import time
from contextlib import closing
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import dagster as dg
from celery import Celery
from celery.exceptions import Reject
from celery.signals import setup_logging

import verifywise_mlflow.run_process_template  # noqa: F401  # for all processes that are forked later
from verifywise_mlflow.defs.dagster_compat.connections import open_before_forks, postgres_url
from verifywise_mlflow.defs.dagster_compat.run_processes import execute_run, import_for_runs
from verifywise_mlflow.distributed.broker import QUEUE, TASK, BrokerNotConfiguredError, broker_url, make_celery
from verifywise_mlflow.distributed.heartbeat import HEARTBEAT_FILE, add_heartbeat
from verifywise_mlflow.distributed.run_process import run_in_fork
from verifywise_mlflow.distributed.run_watch import watch
from verifywise_mlflow.observability.json_logs import install_json_logs, is_json_requested
from verifywise_mlflow.persistence.database import database_url
from verifywise_mlflow.persistence.errors import DatabaseError, DatabaseUnreachableError, NewerSchemaError
from verifywise_mlflow.persistence.migration_wait import MIGRATION_WAIT_SECONDS
from verifywise_mlflow.persistence.run_leases import RunLeases
from verifywise_mlflow.persistence.session_names import name_sessions
from verifywise_mlflow.persistence.store import Store

_LOG: Final = logging.getLogger(__name__)
_PAUSE_SECONDS: Final = 5.0
"""How long a worker that cannot reach the database keeps a run before it puts it back."""
_REFUSED: Final = 1
_MISUSED: Final = 2


def add_task(app: Celery, instance: dg.DagsterInstance | None) -> None:
    """Register the task that the launcher sends, with the instance that was opened before the worker forks."""

    @app.task(name=TASK)  # type: ignore[untyped-decorator]  # Celery has no types
    def execute(run_id: str) -> None:
        _put_back_if_unusable(run_id)
        if code := run_in_fork(partial(_execute, instance, run_id)):
            _LOG.error("the process of run %s ended with %s", run_id, code)


def _execute(instance: dg.DagsterInstance | None, run_id: str) -> None:
    with instance or dg.DagsterInstance.get() as opened:
        execute_leased(opened, run_id)


def _put_back_if_unusable(run_id: str) -> None:
    """Leave the run to another worker if this worker cannot execute it.

    If a newer release has migrated the schema, this worker stops. If this worker cannot reach the database, it tries
    again with the next run. Otherwise a worker that is cut off from Postgres, but not from the broker, would lose one
    run after another.

    Raises:
        Reject: the run's message goes back to the queue.
    """
    try:
        store = _store(database_url())
        # Each run opens a new connection: only the opening of a connection has a time limit that works behind any
        # proxy.
        with closing(store), store.begin_shared():
            pass  # begin_shared refuses another revision of the schema
    except NewerSchemaError as error:
        _LOG.error("run %s is left to a newer worker, and this one stops: %s", run_id, error)
        os.kill(os.getppid(), signal.SIGTERM)  # the worker finishes its other runs, takes no more and ends
        raise Reject(str(error), requeue=True) from None
    except DatabaseUnreachableError as error:
        _LOG.error("run %s is left to another worker: %s", run_id, error)
        time.sleep(_PAUSE_SECONDS)  # otherwise the broker and the log would see a loop without a pause
        raise Reject(str(error), requeue=True) from None
    except DatabaseError:
        return  # the run meets the same error, and reports it


@lru_cache(maxsize=1)
def _store(url: str) -> Store:
    """Return the store, without an open connection, with which a process of the pool checks the schema before each run.

    The forks of the process never use the store. The store can be used again after ``close``, which ends its
    connections.
    """
    return Store(url)


def execute_leased(instance: dg.DagsterInstance, run_id: str) -> None:
    """Execute a run in this process, unless another worker has the run or it no longer needs execution.

    A broker may deliver a message twice, or long after the run was given up.
    """
    lease = RunLeases(postgres_url(instance)).acquire(run_id)
    if lease is None:
        _LOG.warning("run %s is not executed: another worker has its lease", run_id)
        return
    with lease:
        run = instance.get_run_by_id(run_id)
        if run is None or run.status is not dg.DagsterRunStatus.STARTING:
            _LOG.warning("run %s is not executed: it is %s", run_id, run.status.value if run else "deleted")
            return
        name_sessions(run_id)
        with watch(lease):
            execute_run(instance, run_id)


def main() -> int:
    """Work until a signal; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m verifywise_mlflow.distributed.worker", description=__doc__)
    parser.add_argument("processes", type=int, help="runs at a time")
    arguments = parser.parse_args()
    try:
        app = make_celery(broker_url())
    except BrokerNotConfiguredError as error:
        sys.stderr.write(f"{error}\n")
        return _MISUSED
    try:
        # The worker waits here, not at each message: it takes no messages while it waits, so older workers execute the
        # runs until the migration.
        Store(database_url(), wait_seconds=MIGRATION_WAIT_SECONDS).close()
    except DatabaseError as error:
        sys.stderr.write(f"{error}\n")
        return _REFUSED
    import_for_runs()
    add_task(app, open_before_forks())
    if file := os.environ.get(HEARTBEAT_FILE):
        add_heartbeat(app, Path(file))
    without_banner = []
    if is_json_requested():
        setup_logging.connect(_keep_json_logs)  # with a receiver of this signal, Celery leaves the logs as they are
        without_banner = ["--quiet"]
    gc.freeze()  # otherwise the garbage collection of each fork would visit all modules
    options = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO")
    app.worker_main([*without_banner, "worker", "--queues", QUEUE, "--concurrency", str(arguments.processes), *options])
    return 0


def _keep_json_logs(**_: object) -> None:
    install_json_logs()


if __name__ == "__main__":
    sys.exit(main())
