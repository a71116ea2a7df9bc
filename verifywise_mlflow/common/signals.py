"""Signals and the terminal: an orderly exit on Ctrl-C, SIGTERM or a closed terminal."""

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
    """Escape characters that the terminal cannot encode, instead of failing or hiding them."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def interruptible(*, ignore_repeats: bool = False) -> Iterator[None]:
    """Raise KeyboardInterrupt on the first Ctrl-C, SIGTERM or closed terminal, so that there is one way to exit.

    A signal that the process ignores, such as SIGHUP under nohup, stays ignored.

    Args:
        ignore_repeats: ignore the signals that follow, so that everything that was started is stopped. If false, the
            second signal ends the process at once. If true, SIGINT is also handled if it is ignored, as in a process
            that a shell started in the background: ``kill -INT`` should work.
    """
    previous_handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    handled = {
        number: handler
        for number, handler in previous_handlers.items()
        if handler is not signal.SIG_IGN or (ignore_repeats and number == signal.SIGINT)
    }
    terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]  # false for a terminal that was closed

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for other in handled:
            signal.signal(other, signal.SIG_IGN if ignore_repeats else signal.SIG_DFL)
        if number == signal.SIGHUP:
            _redirect_to_null(terminals)
        raise KeyboardInterrupt

    for number in handled:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)


def _redirect_to_null(terminals: list[int]) -> None:
    """Stop writing to a closed terminal: each write would fail, including the error message about it."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in terminals:
        os.dup2(null, descriptor)
    os.close(null)
