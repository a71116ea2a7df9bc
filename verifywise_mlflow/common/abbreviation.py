"""Shortens customers' long texts for the audit trail, which is kept when a tenant is erased."""

from __future__ import annotations

import hashlib
from typing import Final

MAX_CUSTOMER_TEXT: Final = 300
"""The number of characters beyond which a text is shortened. MLflow's own names have up to 256 characters."""
_BEGINNING: Final = 190


def abbreviate(text: str) -> str:
    """Return a short text unchanged. Of a long text, return the beginning and the SHA-256 of the whole text."""
    if len(text) <= MAX_CUSTOMER_TEXT:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:_BEGINNING]}… ({len(text):,} characters, SHA-256 {digest})"
