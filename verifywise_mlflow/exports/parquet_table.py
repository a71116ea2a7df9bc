"""Tables as Parquet: typed columns, unchanged texts, and the meaning of each column in its metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from verifywise_mlflow.exports.table_columns import Cell, CellType, Column

ROWS_PER_GROUP: Final = 10_000
CHARACTERS_PER_GROUP: Final = 16_000_000
"""The maximum number of rows and of characters in a row group, which is kept in memory. Long texts make a group
smaller."""

_TYPES: Final = {
    CellType.TEXT: pa.string(),
    CellType.INTEGER: pa.int64(),
    CellType.NUMBER: pa.float64(),
    CellType.BOOLEAN: pa.bool_(),
    CellType.TIME: pa.timestamp("us", tz="UTC"),
    CellType.DATE: pa.date32(),
    CellType.TEXTS: pa.list_(pa.string()),
}


def write_parquet(path: Path, columns: tuple[Column, ...], rows: Iterable[object]) -> int:
    """Write the rows and return how many there were. Times are in UTC, in microseconds."""
    schema = pa.schema(
        [pa.field(column.name, _TYPES[column.type], metadata={"description": column.description}) for column in columns]
    )
    count = 0
    cells = ([_encodable(column.value(row)) for column in columns] for row in rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(cells):
            arrays = [
                pa.array(values, field.type) for values, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(group)
    return count


def _groups(rows: Iterable[list[Cell]]) -> Iterator[list[list[Cell]]]:
    group: list[list[Cell]] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += sum(len(cell) for cell in row if isinstance(cell, str))
        if len(group) >= ROWS_PER_GROUP or characters >= CHARACTERS_PER_GROUP:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _encodable(value: Cell) -> Cell:
    """Return the value with escapes for lone surrogates, which UTF-8 cannot encode."""
    if isinstance(value, tuple):
        return tuple(map(_encodable_text, value))
    return _encodable_text(value) if isinstance(value, str) else value


def _encodable_text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
