"""Stops what a process started when that process dies without doing so, e.g. by ``kill -9``.

It runs as a program of its own, from the standard library alone, and reads orders from a pipe: ``+PGID SIGNAL`` to look
after a process group and ``-PGID`` to forget it. The end of the pipe means that the process which held it is gone, in
whatever way: then what it left is stopped.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping

PATIENCE_SECONDS = 10.0


def main(orders: Iterable[str]) -> None:
    """Follow the orders to their end, then stop the groups that are left."""
    groups: dict[int, int] = {}
    for order in orders:
        if order.startswith("+"):
            group, _, number = order[1:].partition(" ")
            groups[int(group)] = int(number)
        elif order.startswith("-"):
            groups.pop(int(order[1:]), None)
    stop_groups(groups)


def stop_groups(groups: Mapping[int, int]) -> None:
    """Ask process groups to stop, each by its signal; kill what is left of them after a while."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    alive = [pgid for pgid, stop_signal in groups.items() if _send(pgid, stop_signal)]
    while alive and time.monotonic() < deadline:
        time.sleep(0.05)
        alive = [pgid for pgid in alive if _send(pgid, 0)]
    for pgid in alive:
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
