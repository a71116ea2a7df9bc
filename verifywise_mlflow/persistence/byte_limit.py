"""Limits the bytes of a page of rows, in the database, since an MLflow server decides how large its rows are.

A page of 500 rows usually has one megabyte. If only the number of rows were limited, 500 large rows would not fit into
memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    FromClause,
    Integer,
    Select,
    Table,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
    table,
)
from sqlalchemy import Text as PlainText
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.types import TypeEngine

from verifywise_mlflow.persistence.pg_text_codec import Text

MAX_PAGE_BYTES: Final = 4 * 1024**2
"""The bytes of text and JSON after which a page ends: the row that reaches this limit is the last row of the page."""

_OF_FIXED_SIZE: Final = (Boolean, Integer, Date, DateTime)
_PAGE: Final = "page"
_KEY: Final = ("model_name", "version_number")


def limit_bytes(
    query: Select[Any], linked: Sequence[tuple[Table, str, str]] = (), max_bytes: int = MAX_PAGE_BYTES
) -> Select[Any]:
    """Limit a query to its first rows, up to and including the row with which they reach ``max_bytes``.

    Args:
        query: A query that is ordered by the key of a version and has a LIMIT.
        linked: Tables whose rows will be read with the page. These rows count towards the limit, too. Each table comes
            with the name of its key, and with the column of the query that has the key.
        max_bytes: The limit.
    """
    columns = tuple((selected.key, selected.type) for selected in query.selected_columns)
    # Postgres plans a WITH query that is used once as a subquery.
    return _limited_page(columns, tuple(linked), max_bytes).add_cte(query.cte(_PAGE))


@lru_cache(maxsize=64)  # building the query takes most of the time of reading an empty page
def _limited_page(
    columns: tuple[tuple[str, TypeEngine[Any]], ...], linked: tuple[tuple[Table, str, str], ...], max_bytes: int
) -> Select[Any]:
    """Return the limited query, which reads its rows from a query named ``_PAGE`` with these columns."""
    page = table(_PAGE, *(column(name, kind) for name, kind in columns))
    size = _row_bytes(page) + sum((_linked_bytes(page, *link) for link in linked), start=literal_column("0"))
    # OFFSET 0: otherwise Postgres would compute the size twice, since it occurs twice in the next step.
    measured = select(page, size.label("size")).offset(literal_column("0")).subquery("measured")
    order = [measured.c[name] for name in _KEY]
    sized = select(measured, func.sum(measured.c.size).over(order_by=order).label("bytes")).subquery("sized")
    is_within = sized.c.bytes - sized.c.size < max_bytes
    return select(*(sized.c[name] for name, _ in columns)).where(is_within).order_by(*(sized.c[name] for name in _KEY))


def _linked_bytes(page: FromClause, rows: Table, key: str, page_column: str) -> ColumnElement[int]:
    bytes_of_row = (
        select(_row_bytes(rows))
        .select_from(rows)
        .where(rows.c.tenant_id == page.c.tenant_id, rows.c[key] == page.c[page_column])
    )
    return func.coalesce(bytes_of_row.scalar_subquery(), 0)


def _row_bytes(rows: FromClause) -> ColumnElement[int]:
    """Return the bytes of a row's texts and JSON; its numbers and times do not count."""
    sizes = [_bytes_of(cell) for cell in rows.c if not isinstance(cell.type, _OF_FIXED_SIZE)]
    return sum((func.coalesce(size, 0) for size in sizes), start=literal_column("0"))


def _bytes_of(cell: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the bytes of a value before compression. Measuring whole rows as text would take four times as long."""
    if isinstance(cell.type, Text | PlainText):
        return func.octet_length(cell)  # Postgres stores it with the text
    as_text = func.octet_length(cast(cell, PlainText))
    if not isinstance(cell.type, JSON):
        return as_text
    # Only a compressed value has an unknown size: 1 MB of text may be stored in 10 KB.
    is_plain = func.pg_column_compression(cell).is_(None)
    return case((is_plain, func.pg_column_size(cell)), else_=as_text)
