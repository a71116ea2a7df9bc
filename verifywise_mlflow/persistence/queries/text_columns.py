"""Columns that a verification reads as texts, in the form in which they are stored.

The texts are hashed without decoding. A text that was stored with a needless escape would decode to the written value,
but no query in SQL would find its row any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson
from sqlalchemy import Boolean, Date, DateTime, Table
from sqlalchemy.dialects.postgresql import JSONB

from verifywise_mlflow.audit.state_leaf import content_hash
from verifywise_mlflow.persistence.pg_text_codec import canonical


@dataclass(frozen=True, slots=True)
class TextColumns:
    """Columns that are read as texts, sorted by name as in the content that is hashed."""

    names: Sequence[str]
    sql: str
    """The columns, for the beginning of a SELECT."""
    makers: Sequence[tuple[str, Callable[[Any], str]]]
    """The columns whose text is converted before it is hashed, each with the function that converts it."""

    @classmethod
    def of(cls, table: Table, names: Iterable[str]) -> TextColumns:
        """Return columns of a table."""
        in_order = sorted(names)
        sql = ", ".join(_sql(table, name) for name in in_order)
        return cls(in_order, sql, [(name, maker) for name in in_order if (maker := _text_maker(table, name))])

    def content(self, cells: Sequence[Any]) -> dict[str, str | None]:
        """Return the content of a row, which begins with the cells of these columns."""
        texts = dict(zip(self.names, cells, strict=False))
        for name, make in self.makers:
            if (cell := texts[name]) is not None:
                texts[name] = make(cell)
        return texts

    def content_hash(self, cells: Sequence[Any]) -> str:
        """Return the hash of the content of a row."""
        return content_hash(self.content(cells))


def _sql(table: Table, name: str) -> str:
    column_type = table.c[name].type
    if isinstance(column_type, Date):
        return f"to_char({name}, 'YYYY-MM-DD')"  # the text of a date depends on a setting of the session
    return name if isinstance(column_type, DateTime | Boolean) else f"{name}::text"


def _text_maker(table: Table, name: str) -> Callable[[Any], str] | None:
    column_type = table.c[name].type
    if isinstance(column_type, JSONB):  # Postgres reformats JSONB; it keeps the text of other JSON
        return canonical_json
    if isinstance(column_type, Boolean):
        return str
    return _utc_text if isinstance(column_type, DateTime) else None


def _utc_text(value: datetime) -> str:
    return (value if value.tzinfo is UTC else value.astimezone(UTC)).isoformat()


def canonical_json(stored: str) -> str:
    """Return JSON in the form that ``dumps`` writes, from JSON in the form that Postgres writes.

    Texts keep the escapes that they are stored with.
    """
    return _short_json(stored) if len(stored) < MAX_REMEMBERED_JSON else _canonical_json(stored)


MAX_REMEMBERED_JSON: Final = 2_000
"""The maximum length of JSON that is cached, in characters. Many records have equal short values, and versions of a
model have equal environments."""


def _canonical_json(stored: str) -> str:
    # orjson takes a quarter of the time of Python's encoder. The results differ in very large and very small numbers
    # only.
    try:
        fast = orjson.dumps(orjson.loads(stored), option=orjson.OPT_SORT_KEYS)
    except ValueError:
        return canonical(stored)
    has_extreme_number = b"0.0000" in fast or _EXPONENT.search(fast)
    return canonical(stored) if has_extreme_number else fast.decode()


_EXPONENT: Final = re.compile(rb"e[-+]?\d+(?:[,}\]]|\Z)")
"""The pattern begins with a letter, since a search for a letter is much faster than a search for the digits before
it."""


_short_json = lru_cache(maxsize=5_000)(_canonical_json)
