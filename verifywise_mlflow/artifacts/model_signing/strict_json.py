"""JSON from strangers: bounded before memory is spent, and read in one way only."""

from __future__ import annotations

import json
from typing import NoReturn, TypeAlias

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"

MAX_BYTES = 16 * 1024**2
"""A bundle of the reference implementation for 50,000 files has some 12 MB."""
MAX_VALUES = 500_000
"""Eight for each file. Counted by the marks between values, so that text full of commas counts, too."""


class RefusedJsonError(ValueError):
    """The document is broken, too large, or could be read in two ways. Its text is a clause for people."""


def read_json(content: bytes) -> JsonValue:
    """The one value in ``content``.

    Raises:
        RefusedJsonError: Also for a name that occurs twice in an object: readers differ on which one counts.
    """
    if len(content) > MAX_BYTES:
        raise RefusedJsonError(f"larger than {MAX_BYTES} bytes")
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise RefusedJsonError(f"more than {MAX_VALUES} values")
    try:
        value: JsonValue = json.loads(content.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RefusedJsonError:
        raise
    except RecursionError as error:
        raise RefusedJsonError("nested too deeply") from error
    except UnicodeDecodeError as error:
        raise RefusedJsonError("no JSON: the bytes are no text") from error
    except json.JSONDecodeError as error:
        raise RefusedJsonError(f"no JSON: {error.msg} at line {error.lineno}") from error
    except ValueError as error:  # Python converts no number of more than 4,300 digits
        raise RefusedJsonError("a number that is too long") from error
    return value


def object_in(value: JsonValue, what: str) -> dict[str, JsonValue]:
    """``value``, which has to be an object.

    Raises:
        RefusedJsonError: ``what`` is none.
    """
    if not isinstance(value, dict):
        raise RefusedJsonError(f"{what} is no object")
    return value


def list_in(value: JsonValue, what: str, *, at_least: int = 1, at_most: int) -> list[JsonValue]:
    """``value``, which has to be a list of that length.

    Raises:
        RefusedJsonError: ``what`` is none, or too short, or too long.
    """
    if not isinstance(value, list) or not at_least <= len(value) <= at_most:
        between = str(at_most) if at_least == at_most else f"{at_least} to {at_most}"
        raise RefusedJsonError(f"{what} is no list of {between}")
    return value


def text_in(value: JsonValue, what: str) -> str:
    """``value``, which has to be text, and not empty.

    Raises:
        RefusedJsonError: ``what`` is none.
    """
    if not isinstance(value, str) or not value:
        raise RefusedJsonError(f"{what} is no text")
    return value


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise RefusedJsonError("an object names something twice")
    return result


def _refuse_constant(constant: str) -> NoReturn:
    raise RefusedJsonError(f"no JSON: {constant}")
