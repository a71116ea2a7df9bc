"""The columns of a table, derived from the fields of a row's class: names, types and meanings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from operator import attrgetter
from types import NoneType
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from verifywise_mlflow.common.json_ready import json_ready

Cell: TypeAlias = str | int | float | bool | datetime | date | tuple[str, ...] | None
"""A value of a table. Times have a zone."""


class CellType(StrEnum):
    """The type of a column's values. Each value may be missing."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    DATE = "date"
    TEXTS = "texts"
    """A list of texts."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, and how to get its value from a row."""

    name: str
    type: CellType
    description: str
    value: Callable[[Any], Cell]  # Any: the row's own class


_TYPES = {
    bool: CellType.BOOLEAN,
    int: CellType.INTEGER,
    float: CellType.NUMBER,
    datetime: CellType.TIME,
    date: CellType.DATE,
}


def columns_of(row_type: type) -> tuple[Column, ...]:
    """Return a column for each field of a dataclass, in their order.

    If the type of a field is itself such a class, or such a class or null, there is a column for each field of that
    class: ``waiver_approver``. The descriptions are the docstrings of the fields, as in the JSON Schema of the same
    class. A field for values of any type (``object``) becomes a column of texts. Texts are unchanged; other values are
    written as JSON.

    Raises:
        TypeError: a table has no form for the type of a field.
    """
    return tuple(_columns(row_type, "", lambda row: row))


def _columns(row_type: type, prefix: str, owner: Callable[[Any], Any]) -> Iterator[Column]:
    described = TypeAdapter(row_type).json_schema(mode="serialization")["properties"]
    hints = get_type_hints(row_type)
    for field in fields(row_type):
        kind = _without_none(hints[field.name])
        value = _getter(owner, field.name)
        if kind is object:
            value = _as_text(value)
        if is_dataclass(kind) and isinstance(kind, type):
            yield from _columns(kind, f"{prefix}{field.name}_", value)
        else:
            yield Column(f"{prefix}{field.name}", _cell_type(kind), described[field.name].get("description", ""), value)


def _getter(owner: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    get = attrgetter(name)

    def value(row: Any) -> Any:
        part = owner(row)
        return None if part is None else get(part)

    return value


def _as_text(owner: Callable[[Any], Any]) -> Callable[[Any], str | None]:
    def value(row: Any) -> str | None:
        part = json_ready(owner(row))
        return part if part is None or isinstance(part, str) else json.dumps(part, ensure_ascii=False)

    return value


def _without_none(hint: Any) -> Any:
    options = [option for option in get_args(hint) if option is not NoneType]
    return options[0] if NoneType in get_args(hint) and len(options) == 1 else hint


def _cell_type(kind: Any) -> CellType:
    if get_origin(kind) is tuple and get_args(kind) == (str, ...):
        return CellType.TEXTS
    if kind is object or get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, str)):
        return CellType.TEXT
    if kind in _TYPES:
        return _TYPES[kind]
    raise TypeError(f"a table has no form for a field of the type {kind}")
