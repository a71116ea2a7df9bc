"""The text of a message for Slack and chat systems with Markdown, in which a customer's text is inert."""

from __future__ import annotations

from collections.abc import Iterable

_FENCE, _QUOTE = "`", "'"
"""An apostrophe replaces each backtick, which would end a code span."""


def chat_text(lines: Iterable[str]) -> str:
    """Return escaped lines as code spans, in which chat systems that read Markdown show no link, image or mention.

    &, < and > are HTML entities, as Slack requires.
    """
    spans = "\n".join(f"`{line.replace(_FENCE, _QUOTE)}`" for line in lines)
    return spans.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
