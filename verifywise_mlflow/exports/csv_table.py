"""Tables as CSV (RFC 4180) in UTF-8. A text that a spreadsheet would treat as a formula is prefixed with an apostrophe.

Every text is in quotes. Otherwise, a program that separates cells by semicolons could split a text into several cells.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.exports.spreadsheet_text import may_be_formula
from verifywise_mlflow.exports.table_columns import Cell, Column


def write_csv(path: Path, columns: tuple[Column, ...], rows: Iterable[object]) -> int:
    """Write the rows and return how many there were. Times are ISO 8601 in UTC; lists are joined with commas."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow([column.name for column in columns])
        values = [column.value for column in columns]
        for row in rows:
            writer.writerow([_cell(value(row)) for value in values])
            count += 1
    return count


def _cell(value: Cell) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, str):
        return _inert(value)
    return _inert(", ".join(value)) if isinstance(value, tuple) else value.isoformat()


def _inert(text: str) -> str:
    escaped = escape_invisible(text)
    return f"'{escaped}" if may_be_formula(text) else escaped
