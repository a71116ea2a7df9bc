"""Output of the command line: tables for people, one JSON object for programs, and one sentence for an error."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from verifywise_mlflow.cli.command_catalog import FAILED, MISUSED
from verifywise_mlflow.cli.whole_word_table import WholeWordTable
from verifywise_mlflow.common.untrusted_text import escape_invisible

out = Console()
err = Console(stderr=True)

OUTPUT_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""Errors of the output: the disk is full or broken, or the stream is not open for writing."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs, and nothing else.")]


def table(
    *headings: str, title: str | None = None, unbroken: Collection[str] = (), right: Collection[str] = ()
) -> Table:
    """Return a table that cuts no name and no time, however narrow the terminal is.

    Args:
        headings: The columns.
        title: The table's title.
        unbroken: Columns that never wrap, by heading. Times and the results of ``display_name`` wrap in no column.
        right: Right-aligned columns, by heading: numbers.
    """
    columns = _plain_table(title)
    for heading in headings:
        columns.add_column(
            heading,
            overflow="fold",
            no_wrap=heading in unbroken,
            justify="right" if heading in right else "left",
        )
    return columns


def facts() -> Table:
    """Return a table of two columns without headings: a name and its value."""
    columns = _plain_table(None)
    columns.show_header = False
    columns.add_column(style="cyan", no_wrap=True, overflow="fold")
    columns.add_column(overflow="fold")
    return columns


def _plain_table(title: str | None) -> Table:
    return WholeWordTable(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )


def print_json(document: object) -> None:
    """Print one JSON document on a line of its own, for programs."""
    sys.stdout.write(json.dumps(document) + "\n")


def fail_to_write(path: Path, error: OSError, as_json: bool) -> NoReturn:
    """Exit because a file cannot be written: with 1 if the disk is full or broken, with 2 if the path is wrong."""
    reason = error.strerror
    if error.errno == errno.ENOENT:
        reason = f"the folder {path.parent} does not exist: create it"
    elif error.errno == errno.EISDIR:
        reason = "it is a folder: name a file"
    fail(f"cannot write {path}: {reason}", FAILED if error.errno in OUTPUT_ERRNOS else MISUSED, as_json)


def fail(sentence: str, code: int, as_json: bool) -> NoReturn:
    """Print the reason and exit with the code."""
    if as_json:
        print_json({"outcome": "failed", "error": sentence})
    else:
        # Escaped, so that a server's text can neither color nor overwrite output. Errors may have several lines.
        err.print(Text("\n".join(map(escape_invisible, sentence.split("\n"))), style="red"), soft_wrap=True)
    raise typer.Exit(code)
