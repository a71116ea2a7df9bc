"""``--output``: writes a command's table as a CSV, Excel or Parquet file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.text import Text

from verifywise_mlflow.cli.command_catalog import MISUSED
from verifywise_mlflow.cli.indented_output import print_whole
from verifywise_mlflow.cli.output import fail, fail_to_write
from verifywise_mlflow.common.untrusted_text import escape_invisible

R = TypeVar("R")

TableFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        metavar="FILE",
        help="Write all rows to this .csv, .xlsx or .parquet file instead, with more columns. It is replaced.",
        show_default=False,
    ),
]


def check_output(output: Path | None, as_json: bool) -> None:
    """Exit, before anything is read, if the file's ending names no table format, or if ``--json`` is also given."""
    if output is None:
        return
    from verifywise_mlflow.exports.table_file import TableFileError, check_table_path

    if as_json:
        fail("--json prints a document and --output writes a file: use one of them", MISUSED, as_json)
    try:
        check_table_path(output)
    except TableFileError as error:
        fail(str(error), MISUSED, as_json)


def write_output(output: Path, row_type: type[R], rows: Iterable[R]) -> None:
    """Write the rows to the file and print their number; exit if the file cannot be written."""
    from verifywise_mlflow.exports.table_file import write_table

    try:
        count = write_table(output, row_type, rows)
    except OSError as error:
        fail_to_write(output, error, as_json=False)
    rows_phrase = "1 row" if count == 1 else f"{count:,} rows"
    print_whole(Text(f"Wrote {rows_phrase} to {escape_invisible(str(output))}"))
