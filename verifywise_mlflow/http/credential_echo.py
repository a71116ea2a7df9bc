"""Secrets that a server says back to us: an answer that quotes our request must not put them into an error."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from html import escape
from urllib.parse import quote

INSTEAD = "words with our credentials in them"

_WINDOW = 12
"""So many characters of a secret in a row are taken for it: servers cut short what they quote."""


def repeats_a_secret(words: str, sent: Mapping[str, str]) -> bool:
    """Whether words hold what the headers that let us in hold, as they were sent or as they are written in pages."""
    return any(part in words for value in sent.values() for secret in _secrets(value) for part in _parts(secret))


def _secrets(value: str) -> Iterator[str]:
    """Yield a header's value without its scheme, and what HTTP's basic scheme wraps."""
    scheme, _, token = value.partition(" ")
    secret = token or scheme
    yield secret
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(token, validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return
        yield pair.partition(":")[2]


def _parts(secret: str) -> Iterator[str]:
    for written in {secret, quote(secret, safe=""), escape(secret)}:
        for start in range(max(len(written) - _WINDOW, 0) + 1 if written else 0):
            yield written[start : start + _WINDOW]
