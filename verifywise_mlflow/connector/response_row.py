"""One JSON object of a response, read field by field: its texts, numbers, times, lists and key/value pairs.

A required field that is missing raises an error. Any other field that cannot be used becomes a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from verifywise_mlflow.common.problems import Problems
from verifywise_mlflow.common.untrusted_text import describe
from verifywise_mlflow.connector.text_intake import ObjectTexts, TextIntake
from verifywise_mlflow.http.errors import InvalidResponseError

UNUSABLE: Final = "unusable values"
"""The kind of problem for which a field is left out."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_INTEGER: Final = 2**63 - 1

# A run has dozens of pairs. Checking each pair in Python would be most of the cost of reading the run. So C code checks
# whether all pairs are well-formed, which is the usual case. Only other lists are read pair by pair.
_OBJECTS = frozenset((dict,))
_TEXTS = frozenset((str,))
_FLOATS = frozenset((float,))


def _well_formed_pairs(items: list[dict[str, object]], default: object) -> dict[str, object] | None:
    """Return ``key``/``value`` objects as one dictionary; None if a key is missing or not a string."""
    try:
        pairs = {item["key"]: item.get("value", default) for item in items}
    except (KeyError, TypeError):
        return None
    return pairs if _TEXTS.issuperset(map(type, pairs)) else None  # type: ignore[return-value]  # checked on this line


class Row:
    """One JSON object of a response, read field by field; unusable fields are added to ``problems``.

    The rows nested in an object share the object's problems and its limits for texts.
    """

    __slots__ = ("_label", "_texts", "fields")

    def __init__(self, value: object, intake: TextIntake | None = None) -> None:
        self.fields = _fields(value)
        self._texts = ObjectTexts(intake or TextIntake())
        self._label = ""

    @property
    def problems(self) -> Problems:
        """The problems of the object so far."""
        return self._texts.problems

    def text(self, name: str) -> str | None:
        """Return a string; None if it is missing, empty or too long."""
        value = self.fields.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, str):
            return self._texts.text(f"{self._label}{name}", value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        self._unusable(name, value)
        return None

    def identity(self, name: str) -> str:
        """Return a required string."""
        value = self.text(name)
        if value is None:
            raise InvalidResponseError(f"a row of the response has no {name}")
        return value

    def integer(self, name: str, *, minimum: int = 0, maximum: int = MAX_INTEGER) -> int:
        """Return a required integer; MLflow writes some integers as strings."""
        number = _parse_integer(self.fields.get(name))
        if number is not None and minimum <= number <= maximum:
            return number
        raise InvalidResponseError(f"a row of the response has no usable {name}")

    def time(self, name: str) -> datetime | None:
        """Return a time in UTC from milliseconds since 1970; None if it is missing."""
        value = self.fields.get(name)
        if value is None:
            return None
        milliseconds = _parse_integer(value)
        if milliseconds is not None:
            try:
                return _EPOCH + timedelta(milliseconds=milliseconds)
            except OverflowError:
                pass  # after the year 9999
        self._unusable(name, value)
        return None

    def rows(self, name: str, label: str = "") -> list[Row]:
        """Return a list of objects; any other item is a problem. Problems within the objects begin with ``label``."""
        return [self._within(item, label) for item in self._texts.first(name, self._items(name))]

    def row(self, name: str, label: str = "") -> Row:
        """Return an object; an empty object if it is missing. Problems within the object begin with ``label``."""
        value = self.fields.get(name)
        if isinstance(value, dict):
            return self._within(value, label)
        if value is not None:
            self._unusable(name, value)
        return self._within({}, label)

    def pairs(self, name: str) -> dict[str, str]:
        """Return one of MLflow's key/value lists as a dictionary, including pairs with an empty value."""
        items = self._items(name)
        fast_pairs = _well_formed_pairs(items, "")
        if fast_pairs is not None and _TEXTS.issuperset(map(type, fast_pairs.values())):
            return self._texts.texts(name, fast_pairs)  # type: ignore[arg-type]  # just checked
        pairs: dict[str, str] = {}
        for item in items:
            key, value = item.get("key"), item.get("value", "")
            if isinstance(key, str) and isinstance(value, str):
                pairs[key] = value
            else:
                self._unusable(name, key)
        return self._texts.texts(name, pairs)

    def metrics(self) -> dict[str, float]:
        """Return the metrics; MLflow writes NaN as a string."""
        items = self._items("metrics")
        fast_pairs = _well_formed_pairs(items, 0.0)
        if fast_pairs is not None and _FLOATS.issuperset(map(type, fast_pairs.values())):
            return self._texts.numbers("metrics", fast_pairs)  # type: ignore[arg-type]  # just checked
        metrics: dict[str, float] = {}
        for item in items:
            key, value = item.get("key"), item.get("value", 0.0)
            if not isinstance(key, str):
                self._unusable("a metric's name", key)
            elif isinstance(value, bool) or not isinstance(value, int | float | str):
                self._unusable(_metric_label(key), value)
            else:
                try:
                    metrics[key] = float(value)
                except (ValueError, OverflowError):  # a string that is not a number, an integer too large for a float
                    self._unusable(_metric_label(key), value)
        return self._texts.numbers("metrics", metrics)

    def bounded_texts(self, name: str, pairs: Sequence[tuple[str, str | None]]) -> Iterator[tuple[str, str | None]]:
        """Yield the pairs of texts that are within the limits."""
        for first, second in self._texts.first(name, pairs):
            taken = self._texts.text(name, first)
            if taken is not None:
                yield taken, None if second is None else self._texts.text(name, second)

    def _within(self, fields: dict[str, object], label: str) -> Row:
        row = object.__new__(Row)
        row.fields, row._texts, row._label = fields, self._texts, label
        return row

    def _items(self, name: str) -> list[dict[str, object]]:
        """Return a list of JSON objects; any other item is a problem."""
        value = self.fields.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self._unusable(name, value)
            return []
        if _OBJECTS.issuperset(map(type, value)):
            return value
        for item in value:
            if not isinstance(item, dict):
                self._unusable(name, item)
        return [item for item in value if isinstance(item, dict)]

    def _unusable(self, name: str, value: object) -> None:
        # For a list or an object, only the type is reported: the value may be nested too deeply to print.
        self.problems.add(f"{self._label}{name} could not be used: {_described(value)}", UNUSABLE)


def _fields(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidResponseError(f"a row of the response is {type(value).__name__}, not an object")
    return value


def _metric_label(key: str) -> str:
    return f"metric {key if len(key) <= 100 else describe(key)}"


def _described(value: object) -> str:
    if isinstance(value, str):
        return describe(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 256 else "a number beyond any use"
    return str(value) if isinstance(value, float | None) else type(value).__name__


def _parse_integer(value: object) -> int | None:
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    # int() would also accept '1_0', ' 1' and digits of other scripts.
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    return None
