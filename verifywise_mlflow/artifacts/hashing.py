"""SHA-256 of a stream of bytes, counted as they come: memory does not grow with the file.

The product itself does not hash: ``hash_stream`` runs in the sandbox, so this module imports next to nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HashedBytes:
    """All of a file's bytes, as one number and one hash."""

    size: int
    """Bytes, as counted."""
    sha256: str
    """Lower-case hexadecimal."""


@dataclass(frozen=True, slots=True)
class NotHashed:
    """Why a file has no hash."""

    reason: str


def hash_stream(chunks: Iterable[bytes | memoryview], max_bytes: int) -> HashedBytes | None:
    """Hash the stream, or ``None`` as soon as it turns out longer than ``max_bytes`` bytes."""
    sha256 = hashlib.sha256()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            return None
        sha256.update(chunk)
    return HashedBytes(size, sha256.hexdigest())


def over_the_limit(max_bytes: int) -> NotHashed:
    """The reason for a file that is larger than what may be read of it."""
    return NotHashed(f"not hashed: over the limit of {max_bytes} bytes")


def size_difference(listed: int | None, counted: int) -> str | None:
    """What to say where the listing and the bytes disagree on a file's size; both are in bytes."""
    if listed is None or listed == counted:
        return None
    return f"listed with {listed} bytes, but {counted} were served"
