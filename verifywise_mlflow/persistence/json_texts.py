"""Rows whose JSON stays text until the computing process parses it.

A sync reads its rows in one process and computes in another. Pickling and unpickling parsed JSON took as long as
parsing it, so the process that computes receives the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from psycopg2.extensions import cursor as Cursor  # noqa: N812  # a class, in spite of its name
from psycopg2.extensions import new_type, register_type
from sqlalchemy import Connection, Engine, ExecutionContext, Table, event
from sqlalchemy.dialects.postgresql import JSON

from verifywise_mlflow.persistence.pg_text_codec import loads

JSON_AS_TEXT: Final[Mapping[str, bool]] = MappingProxyType({"json_as_text": True})
"""The execution options of a query whose rows have JSON as text: see ``parsed_row``."""
_JSON_TYPES: Final = (114, 3802)
"""The object IDs of json and jsonb."""
_TEXT = new_type(_JSON_TYPES, "JSON AS TEXT", lambda value, _: value)


def let_queries_return_json_as_text(engine: Engine) -> None:
    """Let queries of an engine use the option ``JSON_AS_TEXT``."""
    event.listen(engine, "before_cursor_execute", _before_query)


def _before_query(
    _connection: Connection,
    cursor: Cursor,
    _statement: str,
    _parameters: object,
    context: ExecutionContext | None,
    _is_many: bool,
) -> None:
    if context is not None and context.execution_options.get("json_as_text"):
        register_type(_TEXT, cursor)


def parsed_row(table: Table, row: Mapping[str, object]) -> dict[str, object]:
    """Return a row of a query with ``JSON_AS_TEXT``, with its JSON parsed. It has all or some columns of the table."""
    parsed = {name: loads(text) for name in _json_columns(table) if isinstance(text := row.get(name), str)}
    return {**row, **parsed}


@cache
def _json_columns(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.c if isinstance(column.type, JSON))
