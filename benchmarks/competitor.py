"""The process of one competitor: ``python -m benchmarks.competitor NAME``.

The process takes a task from standard input, prepares, and reports that it is ready. It waits for the start signal,
reads, and reports the cost. Each competitor has a separate process, so that CPU time and memory are measured
separately.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks.task import Contender, Outcome, ReadCounts, Ready, Task


def prepare(name: Contender, task: Task) -> Callable[[], ReadCounts]:
    """Import only what a competitor needs; return the function to measure."""
    match name:
        case Contender.MLFLOW_CLIENT | Contender.MLFLOW_RUNS:
            from benchmarks import mlflow_client

            client = mlflow_client.connect(task.uri)
            if name is Contender.MLFLOW_RUNS:
                return lambda: mlflow_client.read_runs(client, task.pages)
            return lambda: mlflow_client.read_registry(client)
        case Contender.BARE_REST:
            from benchmarks import bare_rest

            return lambda: bare_rest.read_registry(task.uri)
        case Contender.READER | Contender.READER_RUNS | Contender.POLL:
            from benchmarks import our_reader

            settings = our_reader.settings_of(task)
            if name is Contender.POLL:
                return lambda: our_reader.poll(settings)
            if name is Contender.READER_RUNS:
                return lambda: our_reader.read_runs(settings, task.pages)
            return lambda: our_reader.read_registry(settings)
        case Contender.FIRST_SYNC | Contender.UNCHANGED_SYNC | Contender.CHANGED_SYNC:
            from verifywise_mlflow.cli.app import load

            load("sync")  # starts as the command does, with its settings of pydantic and of garbage collection
            from benchmarks import our_sync
            from verifywise_mlflow.persistence.store import Store

            store = Store(task.database_url)  # creates the schema if it is missing
            return lambda: our_sync.sync(task, store)
        case Contender.PLAIN_FILES:
            from benchmarks import plain_files

            return partial(plain_files.read_files, task)
        case Contender.OUR_FILES:
            from benchmarks import our_files
            from verifywise_mlflow.persistence.store import Store

            return partial(our_files.read_files, task, Store(task.database_url))


def main() -> None:
    """Take a task, prepare, wait for the start signal, read and report."""
    # Libraries may print: redirect their output to standard error.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    task = Task.from_json(sys.stdin.readline())

    began = time.perf_counter()
    read_registry = prepare(Contender(sys.argv[1]), task)
    _write_json_line(output.write, asdict(Ready(time.perf_counter() - began, peak_bytes())))
    output.flush()
    sys.stdin.readline()

    began, cpu_before = time.perf_counter(), cpu_seconds()
    counts = read_registry()
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - cpu_before
    _write_json_line(output.write, asdict(Outcome(seconds, cpu, peak_bytes(), counts, cpu_seconds())))
    output.flush()


def _write_json_line(write: Callable[[str], object], message: dict[str, object]) -> None:
    write(json.dumps(message) + "\n")


def cpu_seconds() -> float:
    """Return the CPU time so far of this process and of its children that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def peak_bytes() -> int:
    """Return the peak memory so far.

    getrusage is not used: on Linux, its figure starts at the value of the parent process, which is larger.
    """
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024


if __name__ == "__main__":
    main()
