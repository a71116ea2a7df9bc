"""CEL's operators and functions on Python values, for the types and values on which they behave alike.

Each function returns a value, ``MISSING`` or ``LIBRARY``. ``MISSING`` means that the CEL library reports missing
evidence, for example if a number is compared with null. ``LIBRARY`` means that the library may report an error or
another value than Python: then the library decides. https://github.com/google/cel-spec/blob/master/doc/langdef.md
defines the semantics, and cel-cpp implements them. The tests compare each operator with the library.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

from verifywise_mlflow.compliance.rules.cel_variables import CelValue


class Undecided(Enum):
    """Why an expression has no value."""

    MISSING = "missing"
    """The value depends on evidence that the record lacks."""
    LIBRARY = "library"
    """The library must evaluate it."""


MISSING: Final = Undecided.MISSING
LIBRARY: Final = Undecided.LIBRARY
Value: TypeAlias = "CelValue | timedelta"
Outcome: TypeAlias = "Value | Undecided"
Operation: TypeAlias = Callable[[Value, Value], Outcome]

SCALARS: Final = frozenset({str, bool, int, float, type(None)})
"""The Python types of JSON's single values."""
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_MAX_EXACT_INT: Final = 2**53
"""Doubles represent every integer up to this one exactly. To compare an integer with a double, the library converts the
integer to a double."""
_HOUR: Final = timedelta(hours=1)
_ORDERED: Final = frozenset({str, int, float, datetime, timedelta})
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_DURATION: Final = re.compile(r"(\d{1,6})(h|m|s)", re.ASCII)
_UNITS: Final = {"h": 3_600, "m": 60, "s": 1}


def equal(left: Value, right: Value) -> bool | Literal[Undecided.LIBRARY]:
    """``==``: values of different types are unequal, except numbers."""
    kind, other = type(left), type(right)
    if kind is other:
        return LIBRARY if kind is list or kind is dict else left == right
    if _are_numbers(kind, other):
        return left == right if _are_exact(left, right) else LIBRARY
    if (kind in SCALARS or kind is list or kind is dict) and (other in SCALARS or other is list or other is dict):
        return False
    return LIBRARY


def unequal(left: Value, right: Value) -> bool | Literal[Undecided.LIBRARY]:
    """``!=``."""
    result = equal(left, right)
    return result if result is LIBRARY else not result


def ordered_by(compare: Callable[[Any, Any], bool]) -> Operation:
    """Return ``<``, ``<=``, ``>`` or ``>=``: they compare texts, numbers, times and durations among themselves."""

    def ordered(left: Value, right: Value) -> Outcome:
        kind, other = type(left), type(right)
        if kind is other and kind in _ORDERED:
            return compare(left, right)
        if _are_numbers(kind, other):
            return compare(left, right) if _are_exact(left, right) else LIBRARY
        return _missing_if_null(left, right)

    return ordered


def is_in(element: Value, container: Value) -> Outcome:
    """``in``: whether a list has an equal element, or a map the key."""
    if isinstance(container, dict):
        return element in container if isinstance(element, str) else LIBRARY
    if not isinstance(container, list):
        return LIBRARY
    result: Outcome = False
    for other in container:
        is_equal = equal(element, other)
        if is_equal is True:
            return True
        if is_equal is LIBRARY:
            result = LIBRARY
    return result


def entry(container: Value, key: Value) -> Outcome:
    """``container[key]``: if a map lacks the key, evidence is missing."""
    if isinstance(container, dict) and isinstance(key, str):
        return container.get(key, MISSING)
    if isinstance(container, list) and type(key) is int and key >= 0:
        return container[key] if key < len(container) else MISSING
    return LIBRARY


def add(left: Value, right: Value) -> Outcome:
    """``+`` of numbers, and of a time and a duration."""
    if isinstance(left, datetime) and isinstance(right, timedelta):
        return _time(left, right)
    return _of_numbers(operator.add, left, right)


def subtract(left: Value, right: Value) -> Outcome:
    """``-`` of numbers and times."""
    if isinstance(left, datetime) and isinstance(right, datetime):
        return left - right
    if isinstance(left, datetime) and isinstance(right, timedelta):
        return _time(left, -right)
    return _of_numbers(operator.sub, left, right)


def multiply(left: Value, right: Value) -> Outcome:
    """``*`` of numbers."""
    return _of_numbers(operator.mul, left, right)


def divide(left: Value, right: Value) -> Outcome:
    """``/`` of numbers. For integers, the result is truncated towards zero."""
    if right == 0:
        return LIBRARY
    return _of_numbers(_truncated if type(left) is int else operator.truediv, left, right)


def negate(number: Value) -> Outcome:
    """``-`` of one number."""
    if type(number) is float or (type(number) is int and number != _MIN_INT):
        return -number
    return MISSING if number is None else LIBRARY


def size(value: Value) -> Outcome:
    """``size()``: the characters of a text, the entries of a list or map."""
    if isinstance(value, (str, list, dict)):
        return len(value)
    return MISSING if value is None else LIBRARY


def text_test(test: Callable[[str, str], bool]) -> Operation:
    """Return ``contains``, ``startsWith`` or ``endsWith``."""

    def tested(text: Value, part: Value) -> Outcome:
        if isinstance(text, str) and isinstance(part, str):
            return test(text, part)
        return MISSING if text is None and isinstance(part, str) else LIBRARY

    return tested


def to_double(value: Value) -> Outcome:
    """``double()`` of a number."""
    if type(value) is float or type(value) is int:
        return float(value)
    return MISSING if value is None else LIBRARY


def to_timestamp(value: Value) -> Outcome:
    """``timestamp()`` of a time, or of a text with whole seconds in UTC, the form of the times in ``origins``."""
    if isinstance(value, str):
        return _parsed_time(value)
    return value if isinstance(value, datetime) else MISSING if value is None else LIBRARY


def to_duration(value: Value) -> Outcome:
    """``duration()`` of a text in one unit, such as ``48h``."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else LIBRARY


def hours(value: Value) -> Outcome:
    """``getHours()`` of a duration: whole hours, truncated towards zero."""
    if not isinstance(value, timedelta):
        return LIBRARY
    return value // _HOUR if value >= timedelta(0) else -(-value // _HOUR)


@lru_cache(maxsize=4_096)
def _parsed_time(text: str) -> Outcome:
    if not _TIME.fullmatch(text):
        return LIBRARY
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # no day of the calendar, or the year 0
        return LIBRARY


def _time(start: datetime, duration: timedelta) -> Outcome:
    try:
        return start + duration
    except OverflowError:
        return LIBRARY


def _of_numbers(operation: Callable[[object, object], object], left: Value, right: Value) -> Outcome:
    kind = type(left)
    if kind is type(right):
        if kind is float:
            return operation(left, right)  # type: ignore[return-value]  # a float
        if kind is int:
            number = operation(left, right)
            return number if _MIN_INT <= number <= _MAX_INT else LIBRARY  # type: ignore[operator, return-value]  # an int
    return _missing_if_null(left, right)


def _truncated(left: object, right: object) -> int:
    assert isinstance(left, int)
    assert isinstance(right, int)
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _are_numbers(kind: type, other: type) -> bool:
    return (kind is int and other is float) or (kind is float and other is int)


def _are_exact(left: Value, right: Value) -> bool:
    number = left if type(left) is int else right
    return -_MAX_EXACT_INT <= number <= _MAX_EXACT_INT  # type: ignore[operator]  # one of the two is an integer


def _missing_if_null(left: Value, right: Value) -> Undecided:
    """Return the library's outcome for operands without a common operation: missing evidence if one operand is null."""
    if left is None:
        return MISSING if type(right) in SCALARS else LIBRARY
    return MISSING if right is None and type(left) in SCALARS else LIBRARY
