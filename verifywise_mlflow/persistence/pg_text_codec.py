"""Column types for untrusted text and JSON that Postgres alone would refuse.

Postgres stores no NUL in text, no lone surrogate, and no NaN in JSON; MLflow returns all three. They are escaped on
write and unescaped on read:

* NUL is stored as ``␀``. A lone surrogate is stored as ``␛`` and its four hex digits. The characters ``␀`` and ``␛``
  themselves are stored with a ``␛`` before them. All other text is stored unchanged.
* NaN and the infinities in JSON are stored as the strings ``NaN``, ``Infinity`` and ``-Infinity``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeAlias

from pydantic_core import from_json
from sqlalchemy import Dialect, TypeDecorator
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.types import Text as PlainText

from verifywise_mlflow.common.canonical_json import finite_or_name

Stored: TypeAlias = "str | int | float | bool | list[Stored] | dict[str, Stored] | None"

_NUL, _ESCAPE = "\u2400", "\u241b"
_TO_ESCAPE = re.compile(f"[\x00\ud800-\udfff{_NUL}{_ESCAPE}]")
_ESCAPED_NUL = "\\u0000"
"""NUL as serialized JSON contains it."""
_STRING_OR_LARGE = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?e\+\d+')
_ESCAPED = re.compile(f"{_NUL}|{_ESCAPE}([{_NUL}{_ESCAPE}]|[0-9a-f]{{4}})")


def escape(text: str) -> str:
    """Return the text in a form that Postgres can store."""
    if text.isascii() and "\x00" not in text:  # most texts are plain, and a pattern takes ten times as long
        return text
    return _TO_ESCAPE.sub(_escaped, text)


def unescape(text: str) -> str:
    """Return the original of a text that ``escape`` returned."""
    if _NUL not in text and _ESCAPE not in text:
        return text
    return _ESCAPED.sub(_unescaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    if character == "\x00":
        return _NUL
    return _ESCAPE + (character if character in (_NUL, _ESCAPE) else f"{ord(character):04x}")


def _unescaped(match: re.Match[str]) -> str:
    escaped = match[1]
    if escaped is None:
        return "\x00"
    return escaped if escaped in (_NUL, _ESCAPE) else chr(int(escaped, 16))


def to_stored(value: object) -> Stored:
    """Return a value of JSON's types in the form in which it is stored.

    Texts are escaped, and numbers that are not finite are replaced by their names.

    Raises:
        TypeError: the value, or a part of it, has no form in JSON.
    """
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, float):
        return finite_or_name(value + 0.0)  # Postgres has no -0.0
    if isinstance(value, Mapping):
        return {escape(str(key)): to_stored(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_stored(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def from_stored(value: Stored) -> Stored:
    """Return a value with its texts unescaped. The names of numbers that are not finite stay texts."""
    if isinstance(value, str):
        return unescape(value)
    if isinstance(value, dict):
        return {unescape(key): from_stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_stored(item) for item in value]
    return value


class Text(TypeDecorator[str]):
    """Any text."""

    impl = PlainText
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape a text that is written."""
        return None if value is None else escape(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Restore a text that was read."""
        return _restored(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], str | None]:
        """Return the function that restores a value, without SQLAlchemy's two wrapping calls.

        A sync reads millions of values.
        """
        return _restored


def _restored(value: str | None) -> str | None:
    return value if value is None or value.isascii() else unescape(value)


Json = JSONB(none_as_null=True)
"""Any value of JSON's types; ``None`` is SQL's NULL. The engine writes and reads it with ``dumps`` and ``loads``."""
JsonDocument = JSON(none_as_null=True)
"""Like ``Json``, for large values that are read as a whole. Postgres keeps the text that ``dumps`` returns: writing,
reading and hashing text costs less than parsing it.
"""


def dumps(value: object) -> str:
    """Return JSON that Postgres can store. Texts stay readable in it, so that SQL can search for them.

    Keys must be texts, and are sorted. A value that Postgres would change is written as Postgres returns it. So if a
    stored value was read with ``loads``, ``dumps`` returns the same text again.
    """
    if isinstance(value, list | tuple | dict) and not value:  # true of two thirds of the columns of most rows
        return "{}" if isinstance(value, dict) else "[]"
    try:
        serialized = _compact(value)
        if _needs_escaping(serialized) or "-0.0" in serialized:
            serialized = _compact(to_stored(value))
    except ValueError:  # a number that is not finite
        serialized = _compact(to_stored(value))
    return _with_large_numbers(serialized)


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False, sort_keys=True
)
"""One encoder for all values: json.dumps would create one per value. The values cannot contain cycles, so the encoder
does not check for them."""


def _compact(value: object) -> str:
    return _ENCODER.encode(value)


def _needs_escaping(serialized: str) -> bool:
    # Most JSON is ASCII, and a pattern takes ten times as long.
    has_nul = "\\" in serialized and _ESCAPED_NUL in serialized
    return has_nul or (not serialized.isascii() and _TO_ESCAPE.search(serialized) is not None)


def _with_large_numbers(serialized: str) -> str:
    has_large = "+" in serialized and "e+" in serialized  # looking for one character first takes a tenth of the time
    return _STRING_OR_LARGE.sub(_large, serialized) if has_large else serialized


def _large(match: re.Match[str]) -> str:
    """Write 1e+300 with all its digits and a point: Postgres would return a whole number, whose text differs."""
    token = match[0]
    return token if token.startswith('"') else f"{Decimal(token):f}.0"


def loads(serialized: str) -> Stored:
    """Return the value that ``dumps`` serialized; the names of numbers that are not finite stay texts."""
    if serialized in ("[]", "{}"):  # true of two thirds of the columns of most rows
        return [] if serialized == "[]" else {}
    value = _parsed(serialized)
    return value if _is_plain(serialized) else from_stored(value)


def _parsed(serialized: str) -> Stored:
    # This parser takes half the time of the standard library's, with the same results, even for whole numbers of any
    # size.
    try:
        value: Stored = from_json(serialized)
    except ValueError:  # a lone surrogate, or too many levels
        value = json.loads(serialized)
    return value


def canonical(serialized: str) -> str:
    """Return JSON that Postgres reformatted in the form in which ``dumps`` wrote it.

    Escapes stay as they are stored. JSON that ``dumps`` cannot have written is returned as it is.
    """
    try:
        return _with_large_numbers(_compact(_parsed(serialized)))
    except (ValueError, RecursionError):
        return serialized


def restored_json(serialized: str) -> str:
    """Return what ``dumps`` serialized as JSON for other readers, without the escapes that Postgres needs."""
    return serialized if _is_plain(serialized) else json.dumps(loads(serialized))


def _is_plain(serialized: str) -> bool:
    return serialized.isascii() or (_NUL not in serialized and _ESCAPE not in serialized)
