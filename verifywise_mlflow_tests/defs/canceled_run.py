"""A process that executes a run as a code server does, and cancels it. It prints the number of attempts of the step."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from importlib import import_module

import dagster as dg
from dagster._utils.interrupts import capture_interrupts

from verifywise_mlflow.defs.dagster_compat import run_processes

attempts: list[float] = []
is_canceled = multiprocessing.Event()


@dg.op(retry_policy=dg.RetryPolicy(max_retries=1, delay=1.5))
def slow_step() -> None:
    """Takes long at its first attempt only. A person cancels this attempt."""
    attempts.append(time.monotonic())
    if len(attempts) == 1:
        is_canceled.set()
        time.sleep(20)


@dg.job
def slow_job() -> None:
    """A job with one step."""
    slow_step()


def main() -> None:
    """Execute the run, and print the result."""
    run_processes.end_canceled_runs()
    run_processes._SECONDS_BETWEEN_INTERRUPTS = 0.5  # type: ignore[misc]
    has_ended = threading.Event()
    import_module("dagster._grpc.impl").start_termination_thread(is_canceled, has_ended)
    outcome = "canceled"
    with capture_interrupts():
        try:
            result = slow_job.execute_in_process(raise_on_error=False)
            outcome = "succeeded" if result.success else "failed"
        except KeyboardInterrupt:
            pass
        has_ended.set()
    sys.stdout.write(f"{outcome} {len(attempts)}\n")


if __name__ == "__main__":
    main()
