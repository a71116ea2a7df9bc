"""A table that breaks lines between words only, and prints each row as a list if the columns do not fit.

Rich narrows columns below their longest word, and then cuts times and names in the middle. Half of a name looks like
another name, and a cut name cannot be copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

MAX_WHOLE_WORD: Final = 64
"""The maximum length of a word that is never cut in a column that wraps, in characters: the length of a SHA-256."""
_MAX_LABEL: Final = 20
"""The maximum length of a heading that is printed to the left of its value if rows are printed as lists, in
characters."""
_GAP: Final = 2
"""The number of spaces between two columns."""
_BOUND_SPACE: Final = "\ue000"
"""Replaces a space at which no line may break. Cells cannot contain it, since it is invisible and thus escaped."""
_TIME: Final = re.compile(r"(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2})")
_BOUND_TIME: Final = rf"\1{_BOUND_SPACE}\2"


class WholeWordTable(Table):
    """A table whose cells wrap between words. If that is too wide, each row becomes a list of headings and values.

    A cell that is a ``Text`` with ``no_wrap`` is never wrapped, nor is a column with ``no_wrap``.
    """

    def add_row(self, *cells: RenderableType | None, **settings: Any) -> None:  # Any: rich's own settings
        """Add a row. A date and its time are one word."""
        super().add_row(*map(_bind_times, cells), **settings)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table for the width of the terminal."""
        for part in self._parts(console, options):
            for segment in (part,) if isinstance(part, Segment) else console.render(part, options):
                yield Segment(segment.text.replace(_BOUND_SPACE, " "), segment.style, segment.control)

    def _parts(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = [[_as_text(console, cell) for cell in column.cells] for column in self.columns]
        widths = self._widths(columns, options.max_width)
        if widths is None:
            yield from self._rows_below_each_other(console, columns, options.max_width)
            return
        for column, width in zip(self.columns, widths, strict=True):
            column.width = width
        yield from super().__rich_console__(console, options)

    def _widths(self, columns: Sequence[Sequence[Text]], available: int) -> list[int] | None:
        """Return the width of each column; None if not all columns fit."""
        least, most = [], []
        for column, cells in zip(self.columns, columns, strict=True):
            heading = [Text(str(column.header))] if self.show_header else []
            least.append(max((_least_width(text, column) for text in (*heading, *cells)), default=1))
            most.append(max((_widest_line(text) for text in (*heading, *cells)), default=1))
        spare = available - sum(least) - _GAP * (len(columns) - 1)
        if spare < 0:
            return None
        widths = list(least)
        by_need = sorted(range(len(columns)), key=lambda index: most[index] - least[index])
        for place, index in enumerate(by_need):  # the columns that need the least space get all of it
            share = min(most[index] - least[index], spare // (len(columns) - place))
            widths[index] += share
            spare -= share
        return [max(width, 1) for width in widths]

    def _rows_below_each_other(
        self, console: Console, columns: Sequence[Sequence[Text]], available: int
    ) -> Iterable[RenderableType]:
        labels = [Text(str(column.header)) for column in self.columns]
        label_width = min(max(map(_widest_line, labels if self.show_header else columns[0])), _MAX_LABEL)
        if self.title:
            yield Text.from_markup(self.title) if isinstance(self.title, str) else self.title
        for number, cells in enumerate(zip(*columns, strict=True)):
            values = zip(self.columns, labels, cells, strict=True)
            if not self.show_header:  # the first cell of each row names the second cell
                names = [cells[0], *(Text() for _ in cells[2:])]
                values = zip(self.columns[1:], names, cells[1:], strict=True)
            elif number:
                yield Text()
            for column, label, text in values:
                if text.plain:
                    yield from _labeled(console, label, text, column, label_width, available)


def _bind_times(cell: RenderableType | None) -> RenderableType | None:
    """Return a cell whose dates are bound to their times."""
    if isinstance(cell, Text):
        bound = cell.copy()
        bound.plain = _TIME.sub(_BOUND_TIME, cell.plain)  # the length stays the same, so the styles stay in place
        return bound
    return _TIME.sub(_BOUND_TIME, cell) if isinstance(cell, str) else cell


def _labeled(
    console: Console, label: Text, text: Text, column: Column, label_width: int, available: int
) -> Iterable[Text]:
    """Yield the lines of a value, to the right of its label, or below if it needs the whole line."""
    indent = label_width + _GAP
    is_below = _least_width(text, column) > available - indent
    width = available if is_below else available - indent
    no_wrap = (text.no_wrap or column.no_wrap) and _widest_line(text) <= width
    label = Text(label.plain, "cyan")
    if (is_below and label.plain) or label.cell_len > label_width:
        yield label
        label = Text()
    for line in text.wrap(console, width, overflow="fold", no_wrap=no_wrap):
        line.rstrip()
        if is_below:
            yield line
            continue
        yield Text.assemble(label, " " * (indent - label.cell_len), line)
        label = Text()


def _as_text(console: Console, cell: RenderableType) -> Text:
    if isinstance(cell, Text):
        return cell
    return console.render_str(str(cell), highlight=False)


def _least_width(text: Text, column: Column) -> int:
    """Return the minimum width at which no text that must stay whole is cut."""
    if text.no_wrap or column.no_wrap:
        return _widest_line(text)
    words = (cell_len(word) for word in text.plain.split())
    return min(max(words, default=1), MAX_WHOLE_WORD)


def _widest_line(text: Text) -> int:
    return max(map(cell_len, text.plain.split("\n")))
