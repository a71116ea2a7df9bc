"""Measures how much of the machine other work took during a measurement."""

from __future__ import annotations

import time

import psutil  # type: ignore[import-untyped]  # its stubs are in a separate package

MAX_OTHER_CORES = 0.2
"""If other processes cause at least this load, a measurement is disturbed and is repeated."""


def tree_cpu_seconds(pid: int | None = None) -> float:
    """Return the CPU time of a process and all its descendants, including those that have ended."""
    total = 0.0
    process = psutil.Process(pid)
    for member in (process, *process.children(recursive=True)):
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def other_cpu_seconds() -> float:
    """Return the CPU time, since the start of the machine, of all processes that this one did not start."""
    times = psutil.cpu_times()  # nice time is separate from user time; interrupts belong to no process
    return float(times.user + times.nice + times.system) - tree_cpu_seconds()


class OtherLoad:
    """The load of all processes that this one did not start, since this object was created."""

    def __init__(self) -> None:
        self._began, self._others = time.monotonic(), other_cpu_seconds()

    def cores(self) -> float:
        """Return the mean number of cores that others kept busy."""
        seconds = time.monotonic() - self._began
        return max(other_cpu_seconds() - self._others, 0.0) / seconds if seconds else 0.0
