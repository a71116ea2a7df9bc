"""The peak memory of a process and of its child processes: sandboxes, and the process that computes records."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # its stubs are in a separate package

SECONDS_BETWEEN_LOOKS: Final = 0.7
_OWN: Final = ("Private_Clean:", "Private_Dirty:")


class PeakMemory:
    """Samples the memory of the children at intervals, from a thread that ends with the process.

    A sample takes some 20 ms of CPU time.
    """

    def __init__(self) -> None:
        """Start sampling."""
        self._children_bytes = 0
        threading.Thread(target=self._look, daemon=True, name="peak memory").start()

    def bytes(self) -> int:
        """Return the peak of this process, plus the peak of the memory that only its children have.

        Memory that a forked child shares with this process counts once.
        """
        return _peak_of_this_process() + self._children_bytes

    def _look(self) -> None:
        process, wait = psutil.Process(), threading.Event()
        while True:
            children = process.children(recursive=True)
            self._children_bytes = max(self._children_bytes, sum(_own_bytes(child.pid) for child in children))
            wait.wait(SECONDS_BETWEEN_LOOKS)


def _peak_of_this_process() -> int:
    # getrusage is not used: on Linux, its figure starts at the value of the parent process, which is larger.
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024


def _own_bytes(pid: int) -> int:
    """Return the bytes that a process shares with no other process; zero if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(_OWN))
