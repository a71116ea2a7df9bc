"""Values that others wrote, shown so that they can do nothing to a terminal or to a reader's eye."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from rich.markup import escape
from rich.text import Text

_LONGEST = 300
"""Characters of one value; --json has all of it."""


def inert(written: str) -> str:
    """Return a text with its control, bidirectional and other unseen characters written as escapes."""
    if written.isprintable():
        return written
    return "".join(_escaped(character) for character in written)


def inert_markup(written: str) -> str:
    """Return a text as part of a line that has rich's markup: inert, and no markup itself."""
    return escape(inert(written))


def _escaped(character: str) -> str:
    # Cc: control; Cf: bidirectional marks and what has no width; Cs: lone surrogates; Zl, Zp: ends of lines.
    if unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def shown(value: object, longest: int = _LONGEST) -> Text:
    """Return a value for people: no markup is read in it, and a long one is cut."""
    told = _told(value)
    return Text(told if len(told) <= longest else f"{told[:longest]}… ({len(told)} characters)")


def _told(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    if isinstance(value, str):
        return inert(value)
    return (
        inert(json.dumps(plain(value), ensure_ascii=False)) if isinstance(value, Mapping | list | tuple) else str(value)
    )


def plain(value: object) -> object:
    """Return a value as JSON's types: times in ISO 8601, numbers that are not finite as words."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value
