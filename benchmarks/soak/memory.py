"""What the processes of the soak hold, and whether it grows."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

MAX_GROWTH_BYTES = 20 * 1024**2
"""Bytes by which a process may have grown from the first third on."""

WARM_UP_MINUTES = 5
"""Minutes until each process has done something of everything; a soak of fewer tells nothing of growth."""

ResidentBytes = Mapping[int, int]
"""Resident bytes of each process: of this one, and of those that sync."""


def resident_bytes() -> ResidentBytes:
    """Return what this process and its workers hold now. Servers are none of them."""
    pids = [psutil.Process().pid, *(child.pid for child in multiprocessing.active_children() if child.pid)]
    return {pid: int(psutil.Process(pid).memory_info().rss) for pid in pids}


def growth(minutes: Sequence[ResidentBytes]) -> dict[int, int]:
    """Return by how much each process has grown at the end over the most that it held in the first third."""
    settled = minutes[: max(len(minutes) // 3, WARM_UP_MINUTES)]
    return {
        pid: now - max((minute[pid] for minute in settled if pid in minute), default=now)
        for pid, now in minutes[-1].items()
    }
