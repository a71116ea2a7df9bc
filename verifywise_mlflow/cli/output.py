"""How the command line speaks: tables for people, one JSON object for programs, and errors as sentences."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from verifywise_mlflow.cli.inert import inert
from verifywise_mlflow.connector.errors import ConnectorError
from verifywise_mlflow.persistence.database import DatabaseError
from verifywise_mlflow.tenants.loading import TenantsFileError
from verifywise_mlflow.tenants.secrets import SecretUnavailableError


class _Paper(Console):
    """Where people read."""

    def on_broken_pipe(self) -> None:
        """Leave it to the command line, which ends with a code of its own; rich would end with 1."""
        raise BrokenPipeError


out = _Paper()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs, and nothing else.")]


def table(*headings: str, title: str | None = None) -> Table:
    """Return a table that shows the whole of each cell, however narrow the terminal: nothing is cut off."""
    made = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


@contextmanager
def errors_as_sentences(as_json: bool) -> Iterator[None]:
    """End the command with a sentence and its exit code where something could not be done."""
    try:
        yield
    except (TenantsFileError, SecretUnavailableError) as error:
        fail(str(error), 2, as_json)
    except (ConnectorError, DatabaseError) as error:
        fail(str(error), 1, as_json)


def fail(sentence: str, code: int, as_json: bool) -> NoReturn:
    """Say why, and end the command with the exit code."""
    if as_json:
        sys.stdout.write(json.dumps({"outcome": "failed", "error": sentence}) + "\n")
    else:
        # Line by line: some errors have several. What a server said in one can neither colour nor overwrite it.
        err.print(Text("\n".join(map(inert, sentence.split("\n"))), style="red"), soft_wrap=True)
    raise typer.Exit(code)
