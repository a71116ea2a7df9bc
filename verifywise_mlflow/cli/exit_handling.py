"""How a command ends where it is stopped, or where its output cannot be written: with a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from verifywise_mlflow.cli.command_help import FAILED, INTERRUPTED, NOT_READ
from verifywise_mlflow.cli.output import NO_ROOM, fail
from verifywise_mlflow.common.signals import interruptible, write_unknown_letters_as_escapes


@contextmanager
def orderly() -> Iterator[None]:
    """End what the block does without a traceback, whoever stops it and whatever becomes of its output."""
    _open_what_is_closed()
    try:
        with interruptible():
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
        if error.filename is not None or error.errno not in NO_ROOM:
            raise  # a mistake of ours
        _stop_writing()
        fail(f"input or output failed: {error.strerror}", FAILED, as_json=False)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED, as_json=False)


def _open_what_is_closed() -> None:
    """Let what is printed go somewhere: away, where a stream was closed; as escapes, where it knows few letters."""
    nowhere = Path(os.devnull)
    sys.stdout = sys.stdout or nowhere.open("w")
    sys.stderr = sys.stderr or nowhere.open("w")
    write_unknown_letters_as_escapes()


def _stop_writing() -> None:
    """What is still to be written goes nowhere: else the interpreter would complain about it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
