"""The form of exported tables. Their columns are declared in ``persistence/queries/warehouse_tables.py``.

This module adds the table of gaps, and describes all tables for programs in ``schema.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from verifywise_mlflow.exports.table_columns import CellType, Column, columns_of
from verifywise_mlflow.persistence.queries.warehouse_tables import EXPORT_TABLES, ColumnType, ExportTable
from verifywise_mlflow.services.gaps import Gap

LAYOUT_VERSION: Final = 1
"""Increase it with a change that could break a reader. An added column does not require this."""
GAPS: Final = "gaps"

_CELL_TYPES: Final[Mapping[ColumnType, CellType]] = {
    "text": CellType.TEXT,
    "integer": CellType.INTEGER,
    "boolean": CellType.BOOLEAN,
    "time": CellType.TIME,
    "date": CellType.DATE,
    "json": CellType.TEXT,
}


@dataclass(frozen=True, slots=True)
class TableLayout:
    """A table in the form in which it is written to files."""

    name: str
    description: str
    key: tuple[str, ...]
    is_replaced: bool
    """Whether a new part file replaces all others: the table is a snapshot."""
    columns: tuple[Column, ...]
    """The columns except ``export_number``, which each table has."""
    json_columns: frozenset[str] = frozenset()
    """Columns with texts that hold JSON."""

    def with_number(self, number: int) -> tuple[Column, ...]:
        """Return the columns, followed by the column ``export_number``."""
        return (*self.columns, Column("export_number", CellType.INTEGER, _NUMBER_DESCRIPTION, _constant(number)))

    def to_json(self) -> dict[str, object]:
        """Return the description of the table for ``schema.json``."""
        return {
            "name": self.name,
            "description": self.description,
            "key": list(self.key),
            "is_replaced": self.is_replaced,
            "columns": [
                {
                    "name": column.name,
                    "type": "json" if column.name in self.json_columns else column.type.value,
                    "description": column.description,
                }
                for column in self.with_number(0)
            ],
        }


_NUMBER_DESCRIPTION: Final = "The export that wrote the row. Of rows with the same key, the highest number is true."


def layout_of(table: ExportTable) -> TableLayout:
    """Return the layout of a table whose rows are sequences of cells."""
    return TableLayout(
        table.name,
        table.description,
        table.key,
        is_replaced=False,
        columns=tuple(
            Column(column.name, _CELL_TYPES[column.type], column.description, itemgetter(place))
            for place, column in enumerate(table.columns)
        ),
        json_columns=frozenset(column.name for column in table.columns if column.type == "json"),
    )


GAPS_LAYOUT: Final = TableLayout(
    GAPS,
    "The gaps that are open as of the export, waived ones included.",
    ("tenant", "model_name", "version_number", "rule_id"),
    is_replaced=True,
    columns=columns_of(Gap),
)
LAYOUTS: Final = (*map(layout_of, EXPORT_TABLES), GAPS_LAYOUT)


def schema_document() -> dict[str, object]:
    """Return the content of ``schema.json``."""
    return {"version": LAYOUT_VERSION, "tables": [layout.to_json() for layout in LAYOUTS]}


def _constant(value: int) -> Callable[[object], int]:
    return lambda _row: value
