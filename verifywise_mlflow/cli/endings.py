"""How a command ends where it is stopped, or where its output cannot be written: with a sentence and an exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer

from verifywise_mlflow.cli.guide import FAILED, INTERRUPTED, NOT_READ
from verifywise_mlflow.cli.output import fail

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""Of an output, which has no file name: its disk is full or broken, or it is not open for writing."""


@contextmanager
def orderly() -> Iterator[None]:
    """End what the block does without a traceback, whoever stops it and whatever becomes of its output."""
    _open_what_is_closed()
    try:
        with _interruptible():
            try:
                yield
            finally:
                sys.stdout.flush()  # now, while somebody can be told that it fails
    except BrokenPipeError:
        _stop_writing()
        raise typer.Exit(NOT_READ) from None
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich has stopped writing, and would end with 1
            raise typer.Exit(NOT_READ) from None
        raise
    except OSError as error:
        if error.filename is not None or error.errno not in _NO_ROOM:
            raise
        _stop_writing()
        fail(f"the output cannot be written: {error.strerror}", FAILED, as_json=False)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED, as_json=False)


def _open_what_is_closed() -> None:
    """Let what is printed go somewhere: away, where a stream was closed; as escapes, where it knows few letters."""
    nowhere = Path(os.devnull)
    sys.stdout = sys.stdout or nowhere.open("w")
    sys.stderr = sys.stderr or nowhere.open("w")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let the first Ctrl-C, SIGTERM or closed terminal raise KeyboardInterrupt, so that a sync can note its end.

    The second one ends the process at once. What is ignored, as SIGHUP under nohup, stays so.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    heeded = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in heeded:
            signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    for number in heeded:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in heeded.items():
            signal.signal(number, handler)


def _stop_writing() -> None:
    """What is still to be written goes nowhere: else the interpreter would complain about it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
