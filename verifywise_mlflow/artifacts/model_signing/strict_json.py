"""Parses untrusted JSON: limits apply before memory is spent, and ambiguous documents are refused."""

from __future__ import annotations

import json
from typing import NoReturn, TypeAlias

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"

MAX_JSON_BYTES = 16 * 1024**2
"""The largest document. The reference implementation's bundle for 50,000 files has about 12 MB."""
MAX_JSON_VALUES = 500_000
"""The maximum number of values: eight for each file, with a margin. Delimiters are counted, including commas within
texts."""


class InvalidJsonError(ValueError):
    """The document is malformed, too large or ambiguous. The message is a clause for people."""


def parse_json(content: bytes) -> JsonValue:
    """Return the value in ``content``.

    Raises:
        InvalidJsonError: The JSON is invalid or beyond a limit, or an object has a duplicate key: parsers differ on
            which value counts.
    """
    if len(content) > MAX_JSON_BYTES:
        raise InvalidJsonError(f"larger than {MAX_JSON_BYTES} bytes")
    if sum(map(content.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise InvalidJsonError(f"more than {MAX_JSON_VALUES} values")
    try:
        value: JsonValue = json.loads(
            content.decode(), object_pairs_hook=_unique_object, parse_constant=_reject_constant
        )
    except InvalidJsonError:
        raise
    except RecursionError as error:
        raise InvalidJsonError("nested too deeply") from error
    except UnicodeDecodeError as error:
        raise InvalidJsonError("not JSON: the bytes are not UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise InvalidJsonError(f"not JSON: {error.msg} at line {error.lineno}") from error
    except ValueError as error:  # Python refuses to convert more than 4,300 digits
        raise InvalidJsonError("a number is too long") from error
    return value


def require_object(value: JsonValue, label: str) -> dict[str, JsonValue]:
    """Return ``value`` if it is an object.

    Raises:
        InvalidJsonError: It is not an object. The message names it as ``label``.
    """
    if not isinstance(value, dict):
        raise InvalidJsonError(f"{label} is not an object")
    return value


def require_list(value: JsonValue, label: str, *, at_least: int = 1, at_most: int) -> list[JsonValue]:
    """Return ``value`` if it is a list with ``at_least`` to ``at_most`` items.

    Raises:
        InvalidJsonError: It is not a list, or too short or too long.
    """
    if not isinstance(value, list) or not at_least <= len(value) <= at_most:
        between = str(at_most) if at_least == at_most else f"{at_least} to {at_most}"
        raise InvalidJsonError(f"{label} is not a list of {between}")
    return value


def require_text(value: JsonValue, label: str) -> str:
    """Return ``value`` if it is text and not empty.

    Raises:
        InvalidJsonError: It is not text, or is empty. The message names it as ``label``.
    """
    if not isinstance(value, str) or not value:
        raise InvalidJsonError(f"{label} is not text")
    return value


def _unique_object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidJsonError("an object has a duplicate key")
    return result


def _reject_constant(constant: str) -> NoReturn:
    raise InvalidJsonError(f"not JSON: {constant}")
