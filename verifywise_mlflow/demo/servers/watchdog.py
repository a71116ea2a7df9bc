"""Stops the children of a process that died without stopping them, e.g. by ``kill -9``.

It is a separate program that uses the standard library only and reads commands from a pipe: ``+PGID SIGNAL`` registers
a process group, ``-PGID`` unregisters it. When the pipe closes, its owner has ended, and the groups that are still
registered are stopped.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

STOP_TIMEOUT_S = 10.0


def main(commands: Iterable[str]) -> None:
    """Process commands until the pipe closes, then stop the registered groups."""
    groups: dict[int, int] = {}
    for command in commands:
        if command.startswith("+"):
            group, _, number = command[1:].partition(" ")
            groups[int(group)] = int(number)
        elif command.startswith("-"):
            groups.pop(int(command[1:]), None)
    stop_groups(groups)


def stop_groups(groups: Mapping[int, int]) -> None:
    """Send each process group its stop signal; kill what still runs after the timeout."""
    deadline = time.monotonic() + STOP_TIMEOUT_S
    alive = [pgid for pgid, stop_signal in groups.items() if _send(pgid, stop_signal)]
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [pgid for pgid in alive if _is_running(pgid)]
    for pgid in alive:
        _send(pgid, signal.SIGKILL)


def _is_running(pgid: int) -> bool:
    """Return whether a process of the group still runs.

    A zombie does not run: it exists until its parent reads its exit code. The parent of an orphan is the first process
    of the container, which may read the code late or never.
    """
    if not _send(pgid, 0):
        return False
    states = [state for group, state in _processes() if group == pgid]
    return not states or any(state not in ("Z", "X") for state in states)


def _processes() -> Iterator[tuple[int, str]]:
    """Yield the group and the state of each process; nothing where the system has no ``/proc``."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, group = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:3]
        except OSError:  # the process has ended
            continue
        yield int(group), state


def _send(pgid: int, signal_number: int) -> bool:
    """Send a signal (0 only probes); return whether the group exists."""
    try:
        os.killpg(pgid, signal_number)
    except (ProcessLookupError, PermissionError):  # macOS returns EPERM for a group of zombies
        return False
    return True


if __name__ == "__main__":
    main(sys.stdin)
