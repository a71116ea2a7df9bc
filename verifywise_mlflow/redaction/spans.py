"""Places in a text that are to be taken out, and what comes to stand there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a text, by positions of characters."""

    start: int
    end: int
    what: Literal["secret", "personal data"]
    kind: str
    """In words, for people: it stands in the place of what was there."""


def mark(kind: str) -> str:
    """Return what stands in the place of something.

    No hash of it: whoever knows what a password looks like finds it again from its hash by trying.
    """
    return f"[redacted: {kind}]"


def without(text: str, spans: Iterable[Span]) -> tuple[str, list[Span]]:
    """Return the text with marks in the place of what the spans cover, and the spans without overlaps.

    Where two overlap, all that they cover is taken out, under the kind of the one that begins first, or is longer.
    """
    joined: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if joined and span.start < joined[-1].end:
            before = joined[-1]
            joined[-1] = Span(before.start, max(before.end, span.end), before.what, before.kind)
        else:
            joined.append(span)
    pieces, position = [], 0
    for span in joined:
        pieces += [text[position : span.start], mark(span.kind)]
        position = span.end
    return "".join([*pieces, text[position:]]), joined
