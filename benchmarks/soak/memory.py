"""Measures the memory of the soak's processes, and whether it grows."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence

import psutil  # type: ignore[import-untyped]  # its stubs are in a separate package

MAX_GROWTH_BYTES = 20 * 1024**2
"""The number of bytes by which a process may grow after the first third."""

WARM_UP_MINUTES = 5
"""The number of minutes until each process has done every kind of work. A shorter soak shows nothing about growth."""

ResidentBytes = Mapping[int, int]
"""Resident bytes of this process and of each sync worker."""


def resident_bytes() -> ResidentBytes:
    """Return the memory of this process and its workers, without the servers."""
    pids = [psutil.Process().pid, *(child.pid for child in multiprocessing.active_children() if child.pid)]
    return {pid: int(psutil.Process(pid).memory_info().rss) for pid in pids}


def growth(minutes: Sequence[ResidentBytes]) -> dict[int, int]:
    """Return the growth of each process: its memory at the end minus its peak in the first third."""
    settled = minutes[: max(len(minutes) // 3, WARM_UP_MINUTES)]
    return {
        pid: now - max((minute[pid] for minute in settled if pid in minute), default=now)
        for pid, now in minutes[-1].items()
    }
