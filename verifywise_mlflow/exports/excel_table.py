"""Tables as Excel workbooks: numbers and times keep their type, texts stay texts, and a sheet explains the columns.

Rows are written to the disk one by one. A text that a spreadsheet would treat as a formula has the cell property
``quotePrefix``: it stays a text even if somebody edits the cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from xlsxwriter import Workbook
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from verifywise_mlflow.common.untrusted_text import escape_invisible
from verifywise_mlflow.exports.spreadsheet_text import may_be_formula
from verifywise_mlflow.exports.table_columns import Cell, CellType, Column

MAX_ROWS_PER_SHEET: Final = 1_048_575
"""Excel's maximum number of rows, minus the heading. Further rows go to another sheet."""
MAX_TEXT: Final = 32_000
"""The maximum number of characters in a cell; Excel refuses more than 32,767."""
_MAX_EXACT: Final = 2**53
"""The largest integer that is written as a number. Excel's numbers are floats, so a larger integer would lose digits.
It is written as a text, like NaN and the infinities."""
_FIRST_YEAR: Final = 1900
"""The first year of Excel's dates: earlier dates are written as texts."""

_WIDTHS: Final = {CellType.TEXT: 24, CellType.TEXTS: 24, CellType.TIME: 20, CellType.DATE: 12}


def write_excel(path: Path, columns: tuple[Column, ...], rows: Iterable[object]) -> int:
    """Write the rows and return how many there were. Times are in UTC."""
    with TemporaryDirectory() as folder:  # holds the rows until the workbook is closed
        workbook = Workbook(
            path,
            {
                "constant_memory": True,
                "tmpdir": folder,
                "strings_to_formulas": False,
                "strings_to_numbers": False,
                "strings_to_urls": False,
            },
        )
        try:
            formats = _Formats(workbook)
            count = 0
            remaining = iter(rows)
            for number in range(1, 1_000):
                first = list(islice(remaining, 1))
                if not first and number > 1:
                    break
                sheet = workbook.add_worksheet("Rows" if number == 1 else f"Rows {number}")
                count += _write_sheet(sheet, columns, chain(first, islice(remaining, MAX_ROWS_PER_SHEET - 1)), formats)
            _explain(workbook.add_worksheet("Columns"), columns, formats)
        finally:
            workbook.close()
    return count


class _Formats:
    def __init__(self, workbook: Workbook) -> None:
        self.heading: Format = workbook.add_format({"bold": True, "bottom": 1})
        self.time: Format = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self.date: Format = workbook.add_format({"num_format": "yyyy-mm-dd"})
        self.wrapped: Format = workbook.add_format({"text_wrap": True, "valign": "top"})
        self.inert: Format = workbook.add_format()
        self.inert.set_quote_prefix()


def _write_sheet(sheet: Worksheet, columns: tuple[Column, ...], rows: Iterator[object], formats: _Formats) -> int:
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(columns):
        sheet.set_column(place, place, max(_WIDTHS.get(column.type, 10), min(len(column.name) + 2, 30)))
        sheet.write_string(0, place, column.name, formats.heading)
    count = 0
    for count, row in enumerate(rows, start=1):  # the last value of ``count`` is the number of rows
        for place, column in enumerate(columns):
            _write_cell(sheet, count, place, column.value(row), formats)
    sheet.autofilter(0, 0, count, len(columns) - 1)
    return count


def _write_cell(sheet: Worksheet, row: int, place: int, value: Cell, formats: _Formats) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, place, value)
    elif isinstance(value, int | float):
        if math.isfinite(value) and abs(value) <= _MAX_EXACT:
            sheet.write_number(row, place, value)
        else:
            sheet.write_string(row, place, str(value))
    elif isinstance(value, str):
        _write_text(sheet, row, place, value, formats)
    elif isinstance(value, tuple):
        _write_text(sheet, row, place, ", ".join(value), formats)
    elif value.year < _FIRST_YEAR:
        sheet.write_string(row, place, value.isoformat())
    elif isinstance(value, datetime):
        sheet.write_datetime(row, place, value.astimezone(UTC).replace(tzinfo=None), formats.time)
    else:
        sheet.write_datetime(row, place, value, formats.date)


def _write_text(sheet: Worksheet, row: int, place: int, text: str, formats: _Formats) -> None:
    shown = escape_invisible(text)
    if len(shown) > MAX_TEXT:
        shown = f"{shown[:MAX_TEXT]}… ({len(text):,} characters)"
    sheet.write_string(row, place, shown, formats.inert if may_be_formula(text) else None)


def _explain(sheet: Worksheet, columns: tuple[Column, ...], formats: _Formats) -> None:
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 100)
    for place, heading in enumerate(("column", "meaning")):
        sheet.write_string(0, place, heading, formats.heading)
    for row, column in enumerate(columns, start=1):
        sheet.write_string(row, 0, column.name, formats.wrapped)
        sheet.write_string(row, 1, column.description, formats.wrapped)
