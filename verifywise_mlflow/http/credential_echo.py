"""Detects credential echo: a server that quotes our request must not put our secrets into an error message."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from html import escape
from urllib.parse import quote

WITHHELD = "text withheld because it contains our credentials"

_WINDOW_CHARACTERS = 12
"""This many characters of a secret in a row count as an echo: servers truncate what they quote."""


def echoes_credentials(text: str, auth_headers: Mapping[str, str]) -> bool:
    """Return whether ``text`` echoes one of our credentials, raw, URL-escaped or HTML-escaped."""
    return any(contains_secret(text, secret) for value in auth_headers.values() for secret in _secrets(value))


def contains_secret(text: str, secret: str) -> bool:
    """Return whether ``text`` contains a secret or a part of it, raw, URL-escaped or HTML-escaped."""
    return any(part in text for part in _parts(secret))


def _secrets(value: str) -> Iterator[str]:
    """Yield a header's value without its scheme, and the password inside basic auth."""
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
    for spelling in {secret, quote(secret, safe=""), escape(secret)}:
        for start in range(max(len(spelling) - _WINDOW_CHARACTERS, 0) + 1 if spelling else 0):
            yield spelling[start : start + _WINDOW_CHARACTERS]
