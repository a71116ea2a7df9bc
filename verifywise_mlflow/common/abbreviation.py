"""The form in which customers' long texts enter the audit trail, which stays when a tenant is erased."""

from __future__ import annotations

import hashlib
from typing import Final

MAX_CUSTOMER_TEXT: Final = 300
"""Characters. MLflow's own names have up to 256."""
_BEGINNING: Final = 190


def abbreviate(text: str) -> str:
    """Return a text, or the beginning of a long one with its SHA-256, which shows whether another text is the same."""
    if len(text) <= MAX_CUSTOMER_TEXT:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:_BEGINNING]}… ({len(text):,} characters, SHA-256 {digest})"
