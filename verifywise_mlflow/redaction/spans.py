"""Spans of a text that are redacted, and the placeholders that replace them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
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

    It contains no hash: anyone who knows the form of a password can find the password from its hash by trying.
    """
    return f"[redacted: {kind}]"


_PLACEHOLDER = re.compile(r"\[redacted: [^\[\]\r\n]{1,80}\]")


def without_placeholders(text: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Yield the spans that are not inside of a placeholder, which an earlier pass has written."""
    placeholders = [match.span() for match in _PLACEHOLDER.finditer(text)] if "[redacted: " in text else []
    starts = [start for start, _ in placeholders]
    for span in spans:
        index = bisect_right(starts, span.start) - 1
        if index < 0 or span.end > placeholders[index][1]:
            yield span


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
