"""Limits a page of rows in bytes, in the database: a server decides how large its rows are.

A page of 500 rows usually has one megabyte. If only the number of rows were limited, 500 large rows would not fit into
memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    FromClause,
    Integer,
    Select,
    Subquery,
    Table,
    case,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy import Text as PlainText
from sqlalchemy.dialects.postgresql import JSON

from verifywise_mlflow.persistence.pg_text_codec import Text

MAX_PAGE_BYTES: Final = 4 * 1024**2
"""The bytes of text and JSON after which a page ends: the row that reaches this limit is its last one."""

_OF_FIXED_SIZE: Final = (Boolean, Integer, Date, DateTime)
_KEY: Final = ("model_name", "version_number")


def limit_bytes(
    query: Select[Any], linked: Sequence[tuple[Table, str, str]] = (), max_bytes: int = MAX_PAGE_BYTES
) -> Select[Any]:
    """Limit a query to its first rows, up to and including the one with which they reach ``max_bytes``.

    Args:
        query: It is ordered by the key of a version, and has a LIMIT.
        linked: Tables whose rows will be read with the page and count towards the limit: each with the name of its key,
            and with the column of the query that has the key.
        max_bytes: The limit.
    """
    page = query.subquery("page")
    size = _row_bytes(page) + sum((_linked_bytes(page, *link) for link in linked), start=literal_column("0"))
    # OFFSET 0: otherwise Postgres would compute the size twice, since it occurs twice in the next step.
    measured = select(page, size.label("size")).offset(literal_column("0")).subquery("measured")
    order = [measured.c[name] for name in _KEY]
    sized = select(measured, func.sum(measured.c.size).over(order_by=order).label("bytes")).subquery("sized")
    columns = [column for column in sized.c if column.name not in ("size", "bytes")]
    is_within = sized.c.bytes - sized.c.size < max_bytes
    return select(*columns).where(is_within).order_by(*(sized.c[name] for name in _KEY))


def _linked_bytes(page: Subquery, table: Table, key: str, page_column: str) -> ColumnElement[int]:
    bytes_of_row = (
        select(_row_bytes(table))
        .select_from(table)
        .where(table.c.tenant_id == page.c.tenant_id, table.c[key] == page.c[page_column])
    )
    return func.coalesce(bytes_of_row.scalar_subquery(), 0)


def _row_bytes(rows: FromClause) -> ColumnElement[int]:
    """Return the bytes of a row's texts and JSON; its numbers and times do not count."""
    sizes = [_bytes_of(column) for column in rows.c if not isinstance(column.type, _OF_FIXED_SIZE)]
    return sum((func.coalesce(size, 0) for size in sizes), start=literal_column("0"))


def _bytes_of(column: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the bytes of a value before compression. Measuring whole rows as text would take four times as long."""
    if isinstance(column.type, Text | PlainText):
        return func.octet_length(column)  # Postgres stores it with the text
    as_text = func.octet_length(cast(column, PlainText))
    if not isinstance(column.type, JSON):
        return as_text
    # Only a compressed value has an unknown size: 1 MB of text may be stored in 10 KB.
    is_plain = func.pg_column_compression(column).is_(None)
    return case((is_plain, func.pg_column_size(column)), else_=as_text)
