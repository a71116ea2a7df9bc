"""Writes rows to a file: CSV, Excel or Parquet. The ending of the file name decides the format.

Memory does not grow with the number of rows. The file gets its name only when it is complete.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from verifywise_mlflow.common.reports_extra import explain_missing
from verifywise_mlflow.exports.table_columns import Column, columns_of

R = TypeVar("R")
Writer: TypeAlias = Callable[[Path, "tuple[Column, ...]", Iterable[object]], int]


class TableFileError(ValueError):
    """A table cannot be written to this file. The message states what to do."""


def write_table(path: Path, row_type: type[R], rows: Iterable[R]) -> int:
    """Write rows to a file, with a column for each field of their class, and return how many there were.

    An existing file at the path is replaced. If anything fails, the existing file stays as it was.

    Raises:
        TableFileError: the ending is unknown, the path belongs to something other than a file, or the extra is not
            installed.
        OSError: the file cannot be written.
    """
    write = _writer(path)
    with _replaced(path) as part:
        return write(part, columns_of(row_type), rows)


def check_table_path(path: Path) -> None:
    """Raise what ``write_table`` would raise for this path, before any row is read.

    Raises:
        TableFileError: see ``write_table``.
    """
    _writer(path)


def _csv_writer() -> Writer:
    from verifywise_mlflow.exports.csv_table import write_csv

    return write_csv


def _excel_writer() -> Writer:
    from verifywise_mlflow.exports.excel_table import write_excel

    return write_excel


def _parquet_writer() -> Writer:
    from verifywise_mlflow.exports.parquet_table import write_parquet

    return write_parquet


_WRITERS: Final[Mapping[str, Callable[[], Writer]]] = {
    ".csv": _csv_writer,
    ".xlsx": _excel_writer,
    ".parquet": _parquet_writer,
}
ENDINGS: Final = tuple(_WRITERS)
"""The endings of the files that can be written."""


def _writer(path: Path) -> Writer:
    load = _WRITERS.get(path.suffix.lower())
    if load is None:
        raise TableFileError(
            f"{path.name!r} does not say which kind of table to write: end it with {', '.join(ENDINGS[:-1])} or "
            f"{ENDINGS[-1]}"
        )
    if path.exists() and not path.is_file():
        raise TableFileError(f"{path} is not a file: write another name")
    try:
        return load()
    except ModuleNotFoundError as error:
        raise TableFileError(
            f"{explain_missing(error, f'a {path.suffix.lower()} file')}, or write a .csv file"
        ) from error


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Yield a new file in the same folder. At the end, rename it to the path; if the block raises, delete it."""
    target = path.resolve()  # if the path is a link, the file that it points to is replaced
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        part.touch(exist_ok=False)
        yield part
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
