"""Texts for spreadsheets: which ones a program might evaluate instead of showing them."""

from __future__ import annotations

import re
from typing import Final

_FORMULA_STARTS: Final = frozenset("=+-@\t\r\n＝＋－＠")
"""What a formula begins with, in its full-width forms, too, and what some programs skip before it."""
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)


def may_be_formula(text: str) -> bool:
    """Return whether a spreadsheet may evaluate the text. A number, such as ``-0.5``, evaluates to itself."""
    return text.lstrip(" \u00a0")[:1] in _FORMULA_STARTS and bool(text.strip()) and not _NUMBER.fullmatch(text)
