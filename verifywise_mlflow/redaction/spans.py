"""Spans of a text that are redacted, and the placeholders that replace them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text, given by the positions of characters."""

    start: int
    end: int
    category: Literal["secret", "personal data"]
    kind: str
    """The kind of secret or personal data, for people. It is shown in the placeholder."""


def placeholder(kind: str) -> str:
    """Return the placeholder for redacted text.

    The placeholder contains no hash: anyone who knows the form of a password can find it from its hash by trying.
    """
    return f"[redacted: {kind}]"


_PLACEHOLDER = re.compile(r"\[redacted: [^\[\]\r\n]{1,80}\]")


def without_placeholders(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans that are not inside a placeholder that an earlier pass has written."""
    placeholders = [match.span() for match in _PLACEHOLDER.finditer(text)] if "[redacted: " in text else []
    starts = [start for start, _ in placeholders]
    for span in spans:
        index = bisect_right(starts, span.start) - 1
        if index < 0 or span.end > placeholders[index][1]:
            yield span


def apply_redactions(text: str, spans: Iterable[Span]) -> tuple[str, list[Span]]:
    """Return the text with placeholders in place of the spans, and the spans without overlaps.

    If two spans overlap, everything that they cover is redacted as one span. The span that begins first determines the
    kind; if both begin at the same position, the longer span determines the kind.
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
