"""Runs in forks of a process that has imported everything, and the interruption of canceled runs until they end."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import Any, Final

import dagster as dg
from dagster._core.execution.api import create_execution_plan
from dagster._utils import send_interrupt
from dagster._utils.interrupts import capture_interrupts

_SECONDS_BETWEEN_INTERRUPTS: Final = 5.0
"""An interrupted sync needs less time than this to end in order."""

_RUN_PROCESS_MODULES: Final = (
    *("dagster._grpc.impl", "dagster._core.storage.root"),
    *("dagster_postgres", "psycopg2.extras"),
    *("dagster._core.executor.in_process", "dagster._core.execution.plan.active"),
    *("dagster._core.workspace.autodiscovery", "dagster._core.storage.noop_compute_log_manager"),
    *("dagster._utils.test", "encodings.ascii", "encodings.idna"),
)
"""The modules of a run process that loading the definitions does not import."""

_RUN_COMMAND_MODULE: Final = "dagster._cli.api"
"""The module with the function that executes a launched run. Only workers import it, since that takes 0.1 s."""


def fork_run_processes(template: str) -> None:
    """Make a code server fork the process of each run from a process that has already imported everything.

    By default each run is a new Python process, which imports Dagster and this project again: two seconds of CPU time,
    more than an unchanged sync itself. Python's fork server imports them once, at the first run. The fork server has
    one thread and no connection, so forks are safe. It belongs to one code server: after a reload of the code, Dagster
    starts a new code server, whose runs have the new code. In any other process, and without ``os.fork``, this function
    does nothing.

    Args:
        template: the module to import before the first fork. An exception other than ImportError would end the process
            that forks.
    """
    server = sys.modules.get("dagster._grpc.server")
    if server is None or "forkserver" not in multiprocessing.get_all_start_methods():
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_RUN_PROCESS_MODULES, template])
    start_run = server.DagsterApiServer.StartRun

    @wraps(start_run)
    def start_forked_run(self: Any, *arguments: Any) -> Any:  # Any: Dagster's own types, passed on
        self._mp_ctx = context
        return start_run(self, *arguments)

    server.DagsterApiServer.StartRun = start_forked_run


def end_canceled_runs() -> None:
    """End a run that a person cancels, in the processes that are forked from this one.

    Dagster interrupts the process of a canceled run once. If the interrupted step has a retry policy, the interrupt
    counts as a failure, and the retry continues and succeeds. So the interrupt is repeated until the run has ended.
    """
    run_process = import_module("dagster._grpc.impl")

    def start_interrupting(is_canceled: Any, has_ended: threading.Event) -> None:  # Any: multiprocessing's Event
        arguments = (is_canceled.wait, has_ended)
        threading.Thread(target=_interrupt_until, args=arguments, name="cancellation", daemon=True).start()

    run_process.start_termination_thread = start_interrupting  # type: ignore[attr-defined]


def _interrupt_until(wait_for_cancellation: Callable[[], object], has_ended: threading.Event) -> None:
    wait_for_cancellation()  # also returns when the run has ended
    while not has_ended.is_set():
        send_interrupt()
        has_ended.wait(_SECONDS_BETWEEN_INTERRUPTS)


def import_for_runs() -> None:
    """Import the modules that Dagster needs to execute a run, so that processes that are forked later have them."""
    for module in (*_RUN_PROCESS_MODULES, _RUN_COMMAND_MODULE):
        import_module(module)


def prepare_job(job: dg.JobDefinition) -> None:
    """Let a job build the objects that each run needs, so that processes that are forked later have them."""
    create_execution_plan(job)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore interrupts during a block, such as the end of a sync, which an interrupt would leave without an entry.

    A canceled run is interrupted again and again until it has ended, so an ignored interrupt is not missed.
    """
    with capture_interrupts():
        yield


def execute_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Execute a launched run in the main thread of this process, so that SIGTERM interrupts the run in order.

    Errors of the run are in its event log.
    """
    execute = import_module(_RUN_COMMAND_MODULE)._execute_run_command_body
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with capture_interrupts():
        execute(run_id, instance, lambda _event: None, set_exit_code_on_failure=False)
