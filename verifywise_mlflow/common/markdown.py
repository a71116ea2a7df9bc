"""Text from outside in Markdown: it appears as it is, and no part of it acts as markup."""

from __future__ import annotations

import re

from verifywise_mlflow.common.untrusted_text import escape_invisible


def escape_markdown(text: str) -> str:
    """Return a text that Markdown renders literally: no link, image or other markup.

    For use within a line: at the start of one, a hyphen would begin a list. Dagster still turns a URL in the text into
    a link to exactly that URL.
    """
    return re.sub(r"[\\`*_\[\]<>&~|#!]", r"\\\g<0>", escape_invisible(text))


def code_span(text: str) -> str:
    """Return a text from outside as a Markdown code span, in which links and images have no effect.

    Dagster renders a check's description as Markdown in some places and as plain text in others. A code span is legible
    in both.
    """
    escaped = escape_invisible(text).strip()
    if not escaped:
        return ""
    fence = "`" * (1 + max(map(len, re.findall("`+", escaped)), default=0))
    return f"{fence} {escaped} {fence}" if "`" in escaped else f"{fence}{escaped}{fence}"
