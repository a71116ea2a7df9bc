"""Spans of a text that are redacted, and the placeholders that replace them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, by positions of characters."""

    start: int
    end: int
    category: Literal["secret", "personal data"]
    kind: str
    """The kind of secret or personal data, for people. It is shown in the placeholder."""


def placeholder(kind: str) -> str:
    """Return the placeholder for redacted text.

    It contains no hash: anyone who knows the form of a password can find it from its hash by trying.
    """
    return f"[redacted: {kind}]"


def apply_redactions(text: str, spans: Iterable[Span]) -> tuple[str, list[Span]]:
    """Return the text with placeholders instead of what the spans cover, and the spans without overlaps.

    If two spans overlap, everything that they cover is redacted, under the kind of the one that begins first, or of the
    longer one if both begin at the same position.
    """
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if merged and span.start < merged[-1].end:
            previous = merged[-1]
            merged[-1] = Span(previous.start, max(previous.end, span.end), previous.category, previous.kind)
        else:
            merged.append(span)
    pieces, position = [], 0
    for span in merged:
        pieces += [text[position : span.start], placeholder(span.kind)]
        position = span.end
    return "".join([*pieces, text[position:]]), merged
