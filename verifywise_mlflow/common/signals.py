"""We and the terminal that we run in: its Ctrl-C, its end, and the letters that it does not know."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def escape_unencodable_output() -> None:
    """A terminal that knows no umlauts is no reason to stop, nor to hide which letters there were."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def interruptible(*, to_the_end: bool = False) -> Iterator[None]:
    """Let the first Ctrl-C, SIGTERM or closed terminal raise KeyboardInterrupt, so that there is one orderly way out.

    What we are told to ignore, as SIGHUP under nohup, stays ignored.

    Args:
        to_the_end: ignore the signals that follow, so that all that was started is stopped; otherwise the second one
            ends the process at once. And heed SIGINT also where a shell that started us in the background has us
            ignore it: ``kill -INT`` should work.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    heeded = {
        number: handler
        for number, handler in before.items()
        if handler is not signal.SIG_IGN or (to_the_end and number == signal.SIGINT)
    }
    terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]  # one that is gone is none any more

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for one in heeded:
            signal.signal(one, signal.SIG_IGN if to_the_end else signal.SIG_DFL)
        if number == signal.SIGHUP:
            _leave(terminals)
        raise KeyboardInterrupt

    for number in heeded:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)


def _leave(terminals: list[int]) -> None:
    """Write no more to a terminal that was closed: each try would fail, also that to say so."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in terminals:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
