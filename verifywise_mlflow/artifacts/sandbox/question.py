"""What the process that verifies signatures is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be verified beside the bundle's bytes. It is ours, not the customer's."""

    path: str
    """Of the bundle; with ``../`` where it lies beside the model's folder."""
    files: Mapping[str, str | None]
    """Every file of the model with its SHA-256; null for one that was not hashed."""
    public_keys: tuple[str, ...]
    """PEM."""
    authorities: tuple[str, ...]
    now: float
    """Seconds since 1970."""
