"""How the command line speaks: tables for people, one JSON object for programs, and errors as sentences."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from verifywise_mlflow.cli.command_help import FAILED, INTERRUPTED, MISUSED
from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.http.errors import HttpError
from verifywise_mlflow.persistence.database import DatabaseError
from verifywise_mlflow.persistence.role_grants import is_known_tenant
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.tenants.loading import TenantsFileError
from verifywise_mlflow.tenants.secrets import SecretUnavailableError

out = Console()
err = Console(stderr=True)

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""Of what is written: the disk is full or broken, or the stream is not open for writing."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs, and nothing else.")]


def table(
    *headings: str, title: str | None = None, unbroken: Collection[str] = (), right: Collection[str] = ()
) -> Table:
    """Return a table that shows the whole of each cell, however narrow the terminal: nothing is cut off.

    Args:
        unbroken: the columns, by their headings, whose short words stay in one line: rules, times.
        right: the columns of figures.
    """
    made = _bare(title)
    for heading in headings:
        made.add_column(
            heading,
            overflow="fold",
            no_wrap=heading in unbroken,
            justify="right" if heading in right else "left",
        )
    return made


def facts() -> Table:
    """Return a table of names and what is said of each."""
    made = _bare(None)
    made.show_header = False
    made.add_column(style="cyan", no_wrap=True, overflow="fold")
    made.add_column(overflow="fold")
    return made


def _bare(title: str | None) -> Table:
    return Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )


@contextmanager
def errors_as_sentences(as_json: bool) -> Iterator[None]:
    """End the command with a sentence and its exit code where something could not be done."""
    try:
        yield
    except (TenantsFileError, SecretUnavailableError) as error:
        fail(str(error), 2, as_json)
    except (HttpError, DatabaseError) as error:
        fail(str(error), 1, as_json)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED, as_json)


def refuse_unknown(session: TenantSession, as_json: bool) -> None:
    """End the command where nothing is known of a tenant: its name is a slip, or the role in use may not see it."""
    if not is_known_tenant(session.connection, session.tenant_id):
        fail(
            f"there is no tenant {session.tenant_id!r} in the database, or none that its role in use may see",
            FAILED,
            as_json,
        )


def unwritable(path: Path, error: OSError, as_json: bool) -> NoReturn:
    """End the command where a file cannot be written: there is no room, or its path is wrong."""
    fail(f"{path} cannot be written: {error.strerror}", FAILED if error.errno in NO_ROOM else MISUSED, as_json)


def fail(sentence: str, code: int, as_json: bool) -> NoReturn:
    """Say why, and end the command with the exit code."""
    if as_json:
        sys.stdout.write(json.dumps({"outcome": "failed", "error": sentence}) + "\n")
    else:
        # Line by line: some errors have several. What a server said in one can neither colour nor overwrite it.
        err.print(Text("\n".join(map(escape_invisible, sentence.split("\n"))), style="red"), soft_wrap=True)
    raise typer.Exit(code)
