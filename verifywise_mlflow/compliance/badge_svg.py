"""A badge as an SVG picture, to be shown on other systems' pages. No script, no font, no address in it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from xml.sax.saxutils import escape

from verifywise_mlflow.compliance.verdict import Badge

_COLOURS: Final = {
    Badge.COMPLIANT: "#2a7d3f",
    Badge.GAPS: "#8a6100",
    Badge.INCOMPLETE: "#5b6570",
    Badge.NON_COMPLIANT: "#b3261e",
}
"""White on each has a contrast of more than 4.5, which WCAG 2.2 asks of small text."""
_LONGEST_LABEL: Final = 60
_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PADDING, _NARROW, _WIDE = 6, 7, 12
"""Pixels: at the sides, of a character, and of one that takes the place of two."""


def badge_svg(label: str, badge: Badge, waived: int = 0) -> str:
    """Return the picture of a badge.

    Args:
        label: what it is about, such as a model's name; whatever it holds, it is shown as text.
        badge: the word.
        waived: how many open gaps somebody has accepted; the word stays what it is.
    """
    shown = _plain(label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…")
    word = badge.value + (f" ({waived} waived)" if waived else "")
    left, right = _width(shown), _width(word)
    whole, name = left + right, escape(f"{shown}: {word}", {'"': "&quot;"})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" aria-label="{name}">'
        f"<title>{name}</title>"
        f'<rect width="{left}" height="20" fill="#3c4046"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{_COLOURS[badge]}"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2:g}" y="14" textLength="{left - 2 * _PADDING}">{escape(shown)}</text>'
        f'<text x="{left + right / 2:g}" y="14" textLength="{right - 2 * _PADDING}">{escape(word)}</text>'
        "</g></svg>\n"
    )


def _plain(text: str) -> str:
    """Return a text without what XML cannot hold and without what would turn the direction of writing around."""
    without = _NOT_IN_XML.sub("�", text)
    return "".join("�" if unicodedata.category(sign) in {"Cc", "Cf"} else sign for sign in without)


def _width(text: str) -> int:
    wide = sum(1 for sign in text if unicodedata.east_asian_width(sign) in "WF")
    return 2 * _PADDING + _WIDE * wide + _NARROW * (len(text) - wide)
