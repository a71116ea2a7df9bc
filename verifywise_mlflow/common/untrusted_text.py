"""Sanitizes untrusted text for display: names, tags and error texts that customers and their servers wrote.

Escape a text before it goes to a terminal, a log, an alert or a page: control characters can act on a terminal, and
bidirectional marks can make a text look like another text. Markup depends on the target: ``cli/display.py`` escapes
Rich's markup, ``markdown.py`` escapes Markdown.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories. Cc: control characters; Cf: bidirectional marks and characters without width; Cs: lone
surrogates; Co and Cn: private use and unassigned; Zl and Zp: line and paragraph separators."""


_BLANKS: Final = frozenset("\u2800")
"""Braille's blank. Unicode classifies it as a symbol, but it shows nothing."""
_DEFAULT_IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's characters with the property Default_Ignorable_Code_Point. They show nothing, although some of them are
letters, such as Hangul's fillers."""


def has_visible_character(text: str) -> bool:
    """Return whether a text has a visible character."""
    return any(
        not character.isspace()
        and unicodedata.category(character) not in _INVISIBLE_CATEGORIES
        and character not in _BLANKS
        and not _DEFAULT_IGNORABLE.match(character)
        for character in text
    )


def escape_invisible(text: str) -> str:
    """Return a text on one line, with control, bidirectional and other invisible characters escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape_character(character) for character in text)


def truncate(text: str, max_length: int) -> str:
    """Return the first ``max_length`` characters of a text, followed by an ellipsis if there are more."""
    return text if len(text) <= max_length else f"{text[:max_length]}…"


def quote(text: str, max_length: int = 80) -> str:
    """Return a text for use in a sentence: in quotes, truncated, with invisible characters escaped."""
    return _DEFAULT_IGNORABLE.sub(_escape_match, repr(truncate(text, max_length)))


def describe(text: str, max_length: int = 80) -> str:
    """Return a text for use in a sentence, escaped to ASCII. A long text is replaced by a statement of its length.

    Use it for texts that are redacted later: in a truncated text, a secret might not be recognized.
    """
    return ascii(text) if len(text) <= max_length else f"a text of {len(text):,} characters"


def excerpt(text: str, max_length: int = 200) -> str:
    """Return the beginning of a text, with invisible characters escaped."""
    # The text is also truncated before escaping: escaping a long text takes a hundred times its memory.
    return truncate(escape_invisible(text[: max_length + 1]), max_length)


def _escape_match(match: re.Match[str]) -> str:
    return _escape_character(match[0])


def _escape_character(character: str) -> str:
    if unicodedata.category(character) not in _INVISIBLE_CATEGORIES and not _DEFAULT_IGNORABLE.match(character):
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
