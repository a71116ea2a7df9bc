"""Pydantic's validation errors as instructions for the people who edit configuration files."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_CORRECTIONS: Final[Mapping[str, str]] = {
    "missing": "this field is required: add it",
    "extra_forbidden": "there is no such field: correct its name or remove it",
    "unexpected_keyword_argument": "there is no such field: correct its name or remove it",
}
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def correction_for(error_type: str, message: str, corrections: Mapping[str, str] = _NONE) -> str:
    """Return what to do about a validation error.

    Args:
        error_type: pydantic's ``type`` of the error, such as ``missing``.
        message: pydantic's ``msg``, which is used for an error type that has no text of its own.
        corrections: more texts by error type; they override the common texts.
    """
    default = _CORRECTIONS.get(error_type, message.removeprefix("Value error, "))
    return corrections.get(error_type, default)


def field_path(location: tuple[int | str, ...]) -> str:
    """Return pydantic's ``loc`` as people write it: ``artifacts.limits.max_files``."""
    return ".".join(map(str, location))
