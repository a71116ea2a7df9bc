"""How a command ends when it is interrupted or when its output cannot be written: a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from verifywise_mlflow.cli.command_catalog import BROKEN_PIPE, FAILED, INTERRUPTED
from verifywise_mlflow.cli.output import OUTPUT_ERRNOS, fail
from verifywise_mlflow.common.signals import escape_unencodable_output, interruptible


@contextmanager
def clean_exit() -> Iterator[None]:
    """Run the block; a signal or a failing output ends it with an exit code instead of a traceback."""
    _reopen_closed_streams()
    try:
        with interruptible():
            try:
                yield
            finally:
                sys.stdout.flush()  # flush now, while an error can still be reported
    except typer.BadParameter as error:
        error.message = error.message.removeprefix("Value error, ")  # pydantic's prefix, which typer leaves
        raise
    except BrokenPipeError:
        _discard_output()
        raise typer.Exit(BROKEN_PIPE) from None
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich has stopped writing, and would exit with 1
            raise typer.Exit(BROKEN_PIPE) from None
        raise
    except OSError as error:
        if error.filename is not None or error.errno not in OUTPUT_ERRNOS:
            raise  # a bug in this program
        _discard_output()
        fail(f"input or output failed: {error.strerror}", FAILED, as_json=False)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED, as_json=False)


def _reopen_closed_streams() -> None:
    """Redirect closed output streams to the null device; escape characters that a stream cannot encode."""
    null_device = Path(os.devnull)
    sys.stdout = sys.stdout or null_device.open("w")
    sys.stderr = sys.stderr or null_device.open("w")
    escape_unencodable_output()


def _discard_output() -> None:
    """Send unwritten output to the null device, so that the interpreter does not complain about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
