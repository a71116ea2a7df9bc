"""Upserts or inserts many rows with one statement, column by column.

SQLAlchemy needs some 20 µs per row and 2 µs per cell to build a statement. Here each column is sent as one text, which
Postgres splits. A column is sent as an array if one of its cells contains one of the two control characters that such a
text needs. COPY would be as fast, but Postgres refuses it on tables with row-level security.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import ARRAY, BigInteger, Boolean, DateTime, Integer, Table, TextClause, text
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.types import Text as PlainText
from sqlalchemy.types import TypeEngine

from verifywise_mlflow.persistence.pg_text_codec import Text, dumps, escape
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA

Cells: TypeAlias = Sequence[str | None]
"""A column's values, in the text form that Postgres casts to the column's type."""

MAX_CHARACTERS: Final = 4 * 1024**2
"""The maximum number of characters in the cells of a statement with several rows. Sending a statement takes a multiple
of the statement's size in memory."""
_SEPARATOR: Final = "\x1e"
"""The character after each cell of a column, including the last cell, since Postgres splits an empty text into no
cells."""
_NULL: Final = "\x1f"
"""The text of a cell that is null."""


def upsert_rows(session: TenantSession, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Upsert rows by primary key, each with a new revision if the table has revisions.

    Args:
        session: The transaction.
        table: The table.
        rows: At least one row. All rows have the same columns, and each key occurs once.
    """
    upsert_columns(session, table, _cells(table, rows))


def insert_rows(
    session: TenantSession,
    table: Table,
    rows: Sequence[Mapping[str, object]],
    common: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Insert rows in their order, so that numbers that Postgres generates ascend in that order.

    Args:
        session: The transaction.
        table: The table.
        rows: At least one row. All rows have the same columns.
        common: The columns that have one value in all rows, which is not null.
    """
    insert_columns(session, table, _cells(table, rows), common)


def insert_columns(
    session: TenantSession,
    table: Table,
    columns: Mapping[str, Cells],
    common: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Insert rows that are given by column, like ``insert_rows``."""
    _write(session, table, columns, common, replaces=False)


def _cells(table: Table, rows: Sequence[Mapping[str, object]]) -> dict[str, Cells]:
    columns: dict[str, Cells] = {}
    for name in rows[0]:
        to_text = text_form(table.c[name].type).to_text
        values = [row[name] for row in rows]
        columns[name] = [None if value is None else to_text(value) for value in values]
    return columns


def upsert_columns(
    session: TenantSession,
    table: Table,
    columns: Mapping[str, Cells],
    common: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Upsert rows that are given by column.

    Args:
        session: The transaction.
        table: The table.
        columns: The cells of each column. All columns have the same number of cells, at least one, and each key occurs
            once. ``text_form(type).to_text`` makes a cell from a value.
        common: The columns that have one value in all rows, which is not null.
    """
    _write(session, table, columns, common, replaces=True)


def _write(
    session: TenantSession, table: Table, columns: Mapping[str, Cells], common: Mapping[str, object], *, replaces: bool
) -> None:
    row_count = len(next(iter(columns.values())))
    if row_count > 1 and sum(len(cell) for cells in columns.values() for cell in cells if cell) > MAX_CHARACTERS:
        for half in (slice(row_count // 2), slice(row_count // 2, None)):
            halved = {name: cells[half] for name, cells in columns.items()}
            _write(session, table, halved, common, replaces=replaces)
        return
    texts = {name: text_form(table.c[name].type).to_text(value) for name, value in common.items()}
    joined = {name: _joined(cells) for name, cells in columns.items()}
    are_joined = None not in joined.values()  # otherwise a cell has one of the control characters
    session.execute(
        _statement(table, tuple(columns), tuple(common), are_joined=are_joined, replaces=replaces),
        {**(joined if are_joined else {name: list(cells) for name, cells in columns.items()}), **texts}
        | {"row_count": row_count},
    )


class TextForm(NamedTuple):
    """How a column's values are sent."""

    sql_type: str
    to_text: Callable[[Any], str]
    """Returns the text of a value that is not null."""


def text_form(column_type: TypeEngine[Any]) -> TextForm:
    """Return how a column's values are sent.

    Raises:
        TypeError: The text form of the type is not known here.
    """
    match column_type:
        case Text():
            return TextForm("text", escape)
        case PlainText():
            return TextForm("text", str)
        case JSONB():
            return TextForm("jsonb", dumps)
        case JSON():
            return TextForm("json", dumps)
        case DateTime():
            return TextForm("timestamptz", datetime.isoformat)
        case Boolean():
            return TextForm("boolean", str)
        case BigInteger():
            return TextForm("bigint", str)
        case Integer():
            return TextForm("integer", str)
        case ARRAY(item_type=Text()):
            return TextForm("text[]", _array_literal)
        case _:
            raise TypeError(f"found a column of the type {column_type!r}, whose text form is unknown: add it here")


def _array_literal(texts: Sequence[str]) -> str:
    quoted = (escape(text).replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


def _joined(cells: Cells) -> str | None:
    """Return a column's cells as one text; None if a cell contains one of the two control characters."""
    joined = _SEPARATOR.join([_NULL if cell is None else cell for cell in cells])
    if joined.count(_SEPARATOR) != len(cells) - 1 or joined.count(_NULL) != cells.count(None):
        return None
    return joined + _SEPARATOR


@lru_cache(maxsize=64)
def _statement(
    table: Table, names: tuple[str, ...], common: tuple[str, ...], *, are_joined: bool, replaces: bool
) -> TextClause:
    """Return the statement that writes some columns. Each column is a parameter: a joined text or an array."""
    keys = [column.name for column in table.primary_key]
    replaced = [name for name in (*names, *common, "revision") if name in table.c and name not in keys]
    array = "string_to_array(:{}, E'\\x1e', E'\\x1f')" if are_joined else "CAST(:{} AS text[])"
    types = {name: text_form(table.c[name].type).sql_type for name in (*names, *common)}
    cells = (name if types[name] == "text" else f"CAST({name} AS {types[name]})" for name in names)
    on_conflict = (
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in replaced)}"
        if replaces
        else "ORDER BY place"
    )
    return text(
        f"""
        INSERT INTO {SCHEMA}.{table.name} ({", ".join((*names, *common))})
        SELECT {", ".join((*cells, *(f"CAST(:{name} AS {types[name]})" for name in common)))}
        FROM unnest({", ".join(map(array.format, names))}) WITH ORDINALITY AS cells ({", ".join(names)}, place)
        WHERE place <= :row_count
        {on_conflict}
        """  # noqa: S608  # names of our own tables and columns alone
    )
