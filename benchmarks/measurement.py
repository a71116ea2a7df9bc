"""Starts a competitor's process, gives the start signal, and records the cost on both sides."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from statistics import median

import psutil  # type: ignore[import-untyped]  # its stubs are in a separate package

from benchmarks.other_load import tree_cpu_seconds
from benchmarks.task import REPOSITORY, Contender, Outcome, ReadCounts, Ready, Task
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment

MEMORY_INTERVAL_SECONDS = 0.5


class ContenderFailedError(RuntimeError):
    """A competitor failed."""


@dataclass(frozen=True, slots=True)
class TimedRead:
    """One reading, from the start signal to the end."""

    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    peak_bytes: int
    import_seconds: float
    imported_bytes: int
    counts: ReadCounts
    wall_seconds: float
    """The time from the start to the end of the process, imports included."""
    process_cpu_seconds: float
    """CPU time of the competitor's process and of its children, imports included."""
    tree_peak_bytes: int
    """Peak memory of the process and its children together, measured by samples."""


@dataclass(slots=True)
class ContenderResult:
    """The timed rounds of a competitor, and its number of requests in a separate round that is not timed."""

    contender: Contender
    requests: int = 0
    """The number of requests; 0 if it was not counted."""
    response_bytes: int = 0
    rounds: list[TimedRead] = field(default_factory=list)

    def median(self, value_of: Callable[[TimedRead], float]) -> float:
        """Return the median over the rounds."""
        return median(map(value_of, self.rounds))


def measure(
    contender: Contender,
    task: Task,
    server: ChildProcess,
    *,
    variables: Mapping[str, str] | None = None,
    at_start: Callable[[], object] = lambda: None,
) -> TimedRead:
    """Run a competitor once.

    Args:
        contender: the competitor to run.
        task: the task: what the competitor reads.
        server: the server process, whose children are included.
        variables: additional environment variables.
        at_start: called when the competitor is ready, before the start signal.

    Raises:
        ContenderFailedError: the competitor exited with an error.
    """
    environment = child_environment(**(variables or {}))
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has compiled modules
    started = time.monotonic()
    with subprocess.Popen(  # noqa: S603  # our own command, no shell
        [sys.executable, "-m", "benchmarks.competitor", contender],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=environment,
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(task.to_json() + "\n")
            process.stdin.flush()
            ready_line = process.stdout.readline()
            before = tree_cpu_seconds(server.pid)
            at_start()
            with _peak_memory(process.pid) as peak:
                output, complaint = process.communicate("go\n" if ready_line else None)
        except BaseException:
            process.kill()
            raise
    wall_seconds = time.monotonic() - started
    if process.returncode or not output:
        raise ContenderFailedError(f"{contender} ended with {process.returncode}:\n{complaint[-4_000:]}")
    ready = Ready(**json.loads(ready_line))
    content = json.loads(output)
    outcome = Outcome(**content | {"counts": ReadCounts(**content["counts"])})
    return TimedRead(
        seconds=outcome.seconds,
        cpu_seconds=outcome.cpu_seconds,
        server_cpu_seconds=tree_cpu_seconds(server.pid) - before,
        peak_bytes=outcome.peak_bytes,
        import_seconds=ready.import_seconds,
        imported_bytes=ready.imported_bytes,
        counts=outcome.counts,
        wall_seconds=wall_seconds,
        process_cpu_seconds=outcome.process_cpu_seconds,
        tree_peak_bytes=max(peak),
    )


@contextmanager
def _peak_memory(pid: int) -> Iterator[list[int]]:
    """Yield a list to which the memory of a process and its children is added at intervals."""
    samples, is_over = [0], threading.Event()

    def sample() -> None:
        while not is_over.wait(MEMORY_INTERVAL_SECONDS):
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                members = [process, *process.children(recursive=True)]
                samples.append(sum(member.memory_info().rss for member in members))

    sampling = threading.Thread(target=sample, daemon=True)
    sampling.start()
    try:
        yield samples
    finally:
        is_over.set()
        sampling.join()
