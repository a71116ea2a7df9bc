"""Tables as JSON Lines: an object per row. JSON columns are written as values, not as texts."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import orjson

from verifywise_mlflow.exports.table_columns import Cell, Column


def write_json_lines(path: Path, columns: tuple[Column, ...], rows: Iterable[object], is_json: Collection[str]) -> int:
    """Write the rows and return how many there were. Times are ISO 8601 with a zone.

    Args:
        path: The file.
        columns: The columns.
        rows: The rows.
        is_json: The names of columns whose texts hold JSON.
    """
    count = 0
    with path.open("wb") as file:
        for row in rows:
            document = {column.name: _value(column.value(row), is_json=column.name in is_json) for column in columns}
            file.write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count


def _value(cell: Cell, *, is_json: bool) -> object:
    if not isinstance(cell, str):
        return cell
    if is_json:
        return orjson.Fragment(cell)
    # UTF-8 cannot encode lone surrogates, so they are written as escapes.
    return cell if cell.isascii() else cell.encode("utf-8", "backslashreplace").decode("utf-8")
