"""Starts a contender's process, gives the word, and takes down what the reading took both sides."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

from benchmarks.task import Contender, Found, Outcome, Ready, Task
from verifywise_mlflow.demo.servers.process import ChildProcess, child_environment

REPOSITORY = Path(__file__).parents[1]


class ContenderFailedError(RuntimeError):
    """A contender did not do what it was to do."""


@dataclass(frozen=True, slots=True)
class Round:
    """One reading, from the word to the end."""

    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float
    peak_bytes: int
    import_seconds: float
    imported_bytes: int
    found: Found


@dataclass(slots=True)
class Measured:
    """A contender's rounds, and what it asked of the server in a round of its own, which is not timed."""

    contender: Contender
    requests: int = 0
    """0 where nobody counted."""
    answer_bytes: int = 0
    rounds: list[Round] = field(default_factory=list)

    def median(self, of: Callable[[Round], float]) -> float:
        """Return the middle one of all rounds' figures."""
        return median(map(of, self.rounds))


def measure(
    contender: Contender,
    task: Task,
    server: ChildProcess,
    *,
    variables: Mapping[str, str] | None = None,
    at_start: Callable[[], object] = lambda: None,
) -> Round:
    """Have a contender read once.

    Args:
        contender: who.
        task: what.
        server: the process that is asked, with its children.
        variables: more of the contender's environment.
        at_start: called when the contender is ready, before it gets the word.

    Raises:
        ContenderFailedError: it ended with an error.
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
            process.stdin.write(task.written() + "\n")
            process.stdin.flush()
            ready_line = process.stdout.readline()
            before = _cpu_seconds(server)
            at_start()
            said, complaint = process.communicate("go\n" if ready_line else None)
        except BaseException:
            process.kill()
            raise
    if process.returncode or not said:
        raise ContenderFailedError(f"{contender} ended with {process.returncode}:\n{complaint[-4_000:]}")
    ready = Ready(**json.loads(ready_line))
    told = json.loads(said)
    outcome = Outcome(**told | {"found": Found(**told["found"])})
    return Round(
        seconds=outcome.seconds,
        cpu_seconds=outcome.cpu_seconds,
        server_cpu_seconds=_cpu_seconds(server) - before,
        peak_bytes=outcome.peak_bytes,
        import_seconds=ready.import_seconds,
        imported_bytes=ready.imported_bytes,
        found=outcome.found,
    )


def _cpu_seconds(server: ChildProcess) -> float:
    process = psutil.Process(server.pid)
    times = [member.cpu_times() for member in (process, *process.children(recursive=True))]
    return float(sum(taken.user + taken.system for taken in times))
