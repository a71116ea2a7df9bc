"""Untrusted text in Markdown: it appears literally, and no part of it acts as markup."""

from __future__ import annotations

import re
from typing import Final

from verifywise_mlflow.common.untrusted_text import escape_invisible

_MARKUP: Final = re.compile(r"[\\`*_\[\]<>&~|#!]")
_LINKED: Final = re.compile(r"://|\bwww\.|@\w", re.IGNORECASE)


def escape_markdown(text: str) -> str:
    """Return a text that Markdown renders literally: no link, image or other markup.

    Use the result within a line: at the start of a line, a hyphen begins a list. A word with a URL, an address or an
    @name becomes a code span: renderers such as GitHub's and Dagster's remove backslashes, and then link such words.
    """
    # Every second item is a separator. So no word has a backtick, which ends a code span, or a bar, which ends a cell.
    words = re.split(r"([\s`|]+)", escape_invisible(text))
    return "".join(f"`{word}`" if _LINKED.search(word) else _MARKUP.sub(r"\\\g<0>", word) for word in words)


def code_span(text: str) -> str:
    """Return an untrusted text as a Markdown code span, in which links and images have no effect.

    Dagster renders a check's description as Markdown in some places and as plain text in others. A code span is legible
    in both forms.
    """
    escaped = escape_invisible(text).strip()
    if not escaped:
        return ""
    fence = "`" * (1 + max(map(len, re.findall("`+", escaped)), default=0))
    return f"{fence} {escaped} {fence}" if "`" in escaped else f"{fence}{escaped}{fence}"
