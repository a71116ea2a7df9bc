"""A badge as an SVG image for pages of other systems. The image contains no script, no font and no address."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from xml.sax.saxutils import escape

from verifywise_mlflow.compliance.badge import BADGE_MEANINGS, VERSION_RULE, Badge

_MAX_LABEL_LENGTH: Final = 60
_NOT_ALLOWED_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PADDING_PX, _NARROW_CHARACTER_PX, _WIDE_CHARACTER_PX = 6, 7, 12


def badge_svg(label: str, badge: Badge, waived: int = 0, *, rule: str = VERSION_RULE) -> str:
    """Return the image of a badge.

    Args:
        label: the subject, such as a model's name. It is rendered as text, even if it contains markup.
        badge: the word.
        waived: the number of open gaps that are waived. The word does not depend on this number.
        rule: the rule that derives the badge, for the image's tooltip.
    """
    shown_label = _printable(label if len(label) <= _MAX_LABEL_LENGTH else f"{label[: _MAX_LABEL_LENGTH - 1]}…")
    word = badge.value + (f" ({waived} waived)" if waived else "")
    left, right = _width(shown_label), _width(word)
    total, name = left + right, escape(f"{shown_label}: {word}", {'"': "&quot;"})
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="20" role="img" aria-label="{name}">'
        f"<title>{name}. {escape(f'It is {rule}')}</title>"
        f'<rect width="{left}" height="20" fill="#3c4046"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{BADGE_MEANINGS[badge].color}"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2:g}" y="14" textLength="{left - 2 * _PADDING_PX}">{escape(shown_label)}</text>'
        f'<text x="{left + right / 2:g}" y="14" textLength="{right - 2 * _PADDING_PX}">{escape(word)}</text>'
        "</g></svg>\n"
    )


def _printable(text: str) -> str:
    """Replace characters that XML does not allow, and control and format characters, which can reverse the text."""
    allowed = _NOT_ALLOWED_IN_XML.sub("�", text)
    return "".join("�" if unicodedata.category(character) in {"Cc", "Cf"} else character for character in allowed)


def _width(text: str) -> int:
    wide = sum(1 for character in text if unicodedata.east_asian_width(character) in "WF")
    return 2 * _PADDING_PX + _WIDE_CHARACTER_PX * wide + _NARROW_CHARACTER_PX * (len(text) - wide)
