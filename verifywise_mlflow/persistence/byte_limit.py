"""Limits a page of rows in bytes, in the database: a server decides how large its rows are.

A page of 500 rows usually has one megabyte. Were it limited by number only, 500 large rows would not fit into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, Subquery, Table, cast, func, literal_column, select
from sqlalchemy import Text as PlainText

MAX_PAGE_BYTES: Final = 4 * 1024**2
"""Text of the rows of a page, unless the first row alone has more."""

_KEY: Final = ("model_name", "version_number")


def limit_bytes(
    query: Select[Any], linked: Sequence[tuple[Table, str, str]] = (), max_bytes: int = MAX_PAGE_BYTES
) -> Select[Any]:
    """Return the first rows of a query, until they have this many bytes; at least one.

    Args:
        query: It is ordered by the key of a version, and has a LIMIT.
        linked: Tables whose rows will be read with the page and count, too: each with the name of its key, and with the
            column of the query that has the key.
        max_bytes: The limit.
    """
    page = query.subquery("page")
    size = _row_bytes("page") + sum((_linked_bytes(page, *link) for link in linked), start=literal_column("0"))
    order = [page.c[name] for name in _KEY]
    sized = select(page, size.label("size"), func.sum(size).over(order_by=order).label("bytes")).subquery("sized")
    columns = [column for column in sized.c if column.name not in ("size", "bytes")]
    is_within = sized.c.bytes - sized.c.size < max_bytes
    return select(*columns).where(is_within).order_by(*(sized.c[name] for name in _KEY))


def _linked_bytes(page: Subquery, table: Table, key: str, page_column: str) -> ColumnElement[int]:
    bytes_of_row = (
        select(_row_bytes(table.name))
        .select_from(table)
        .where(table.c.tenant_id == page.c.tenant_id, table.c[key] == page.c[page_column])
    )
    return func.coalesce(bytes_of_row.scalar_subquery(), 0)


def _row_bytes(name: str) -> ColumnElement[int]:
    """Return the length of a whole row as text. That of its columns would be the compressed one."""
    return func.octet_length(cast(literal_column(name), PlainText))
