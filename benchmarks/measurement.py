"""Starts a competitor's process, gives the start signal, and records the cost on both sides."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil  # type: ignore[import-untyped]  # its stubs are in a separate package

from benchmarks.task import Contender, Outcome, ReadCounts, Ready, Task
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment

REPOSITORY = Path(__file__).parents[1]


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


@dataclass(slots=True)
class ContenderResult:
    """The timed rounds of a contender, and its number of requests in a separate round that is not timed."""

    contender: Contender
    requests: int = 0
    """0 if not counted."""
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
        task: what it reads.
        server: the server process, whose children are included.
        variables: additional environment variables.
        at_start: called when the competitor is ready, before the start signal.

    Raises:
        ContenderFailedError: it exited with an error.
    """
    with subprocess.Popen(  # noqa: S603  # our own command, no shell
        [sys.executable, "-m", "benchmarks.competitor", contender],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=child_environment(**(variables or {})),
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(task.to_json() + "\n")
            process.stdin.flush()
            ready_line = process.stdout.readline()
            before = _cpu_seconds(server)
            at_start()
            output, complaint = process.communicate("go\n" if ready_line else None)
        except BaseException:
            process.kill()
            raise
    if process.returncode or not output:
        raise ContenderFailedError(f"{contender} ended with {process.returncode}:\n{complaint[-4_000:]}")
    ready = Ready(**json.loads(ready_line))
    content = json.loads(output)
    outcome = Outcome(**content | {"found": ReadCounts(**content["found"])})
    return TimedRead(
        seconds=outcome.seconds,
        cpu_seconds=outcome.cpu_seconds,
        server_cpu_seconds=_cpu_seconds(server) - before,
        peak_bytes=outcome.peak_bytes,
        import_seconds=ready.import_seconds,
        imported_bytes=ready.imported_bytes,
        counts=outcome.counts,
    )


def _cpu_seconds(server: ChildProcess) -> float:
    process = psutil.Process(server.pid)
    times = [member.cpu_times() for member in (process, *process.children(recursive=True))]
    return float(sum(cpu_times.user + cpu_times.system for cpu_times in times))
