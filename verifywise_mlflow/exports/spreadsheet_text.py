"""Determines which texts a spreadsheet program might evaluate instead of showing them."""

from __future__ import annotations

import re
from typing import Final

_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")
"""The characters that begin a formula, also in their full-width forms, and the characters that some programs skip
before a formula."""
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)


def may_be_formula(text: str) -> bool:
    """Return whether a spreadsheet may evaluate the text. A number, such as ``-0.5``, evaluates to itself."""
    return text.lstrip(" \u00a0")[:1] in _FORMULA_STARTS and bool(text.strip()) and not _NUMBER.fullmatch(text)
