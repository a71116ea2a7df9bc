"""Stops what a process started when that process dies without doing so, e.g. by ``kill -9``.

It runs as a program of its own, from the standard library alone, and reads orders from a pipe: ``+PGID SIGNAL`` to look
after a process group and ``-PGID`` to forget it. The end of the pipe means that the process which held it is gone, in
whatever way: then what it left is stopped, the newest first, as it would have done itself.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable

PATIENCE_SECONDS = 10.0


def main(orders: Iterable[str]) -> None:
    """Follow the orders to their end, then stop the groups that are left."""
    groups: dict[int, int] = {}
    for order in orders:
        if order.startswith("+"):
            pgid, _, stop_signal = order[1:].partition(" ")
            groups[int(pgid)] = int(stop_signal)
        elif order.startswith("-"):
            groups.pop(int(order[1:]), None)
    for pgid, stop_signal in reversed(groups.items()):
        stop_group(pgid, stop_signal)


def stop_group(pgid: int, stop_signal: int) -> None:
    """Ask a process group to stop; kill what is left of it after a while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    alive = _send(pgid, stop_signal)
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = _send(pgid, 0)
    if alive:
        _send(pgid, signal.SIGKILL)


def _send(pgid: int, signal_number: int) -> bool:
    """Return whether the group was there to be sent the signal (0 only asks)."""
    try:
        os.killpg(pgid, signal_number)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return False
    return True


if __name__ == "__main__":
    main(sys.stdin)
