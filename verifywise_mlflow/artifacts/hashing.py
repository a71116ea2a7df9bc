"""SHA-256 of a byte stream with a running size, so that memory does not grow with the file.

Bytes are hashed in our own process, outside of the sandbox: a hash function does not parse them, and the same library
already decrypts them (docs/adr/0006-sandbox-with-kernel-interfaces.md). OpenSSL releases Python's global lock while it
hashes a chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from verifywise_mlflow.artifacts.manifest import ReadOutcome


@dataclass(frozen=True, slots=True)
class FileHash:
    """The size and hash of a file that was read in full."""

    size: int
    """Bytes, as counted while reading."""
    sha256: str
    """Lowercase hexadecimal."""


@dataclass(frozen=True, slots=True)
class EarlierHash:
    """The hash of an earlier read, which is reused while nothing shows that the file has changed."""

    file_hash: FileHash
    store_state: str | None
    """The object's state in its store when it was listed for that read: see ``RemoteFile``."""
    is_settled: bool
    """Whether the file was supposed to stay unchanged since that read."""

    def holds_for(self, size: int | None, store_state: str | None) -> bool:
        """Return whether a file with this listed size and state is unchanged, as far as its store shows.

        A settled file with another state in the store has changed in place, so it is read.
        """
        if size != self.file_hash.size:
            return False
        if self.store_state and store_state:
            return self.store_state == store_state
        return self.is_settled


@dataclass(frozen=True, slots=True)
class NotHashed:
    """Why a file has no hash: ``reason`` for people, ``outcome`` for decisions."""

    reason: str
    outcome: ReadOutcome = ReadOutcome.FAILED


def hash_stream(chunks: Iterable[bytes], max_bytes: int) -> FileHash | NotHashed:
    """Hash the stream. Stop as soon as it exceeds ``max_bytes``. An exception of ``chunks`` propagates."""
    sha256 = hashlib.sha256()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            return over_limit(max_bytes)
        sha256.update(chunk)
    return FileHash(size, sha256.hexdigest())


def over_limit(max_bytes: int, scope: str = "") -> NotHashed:
    """Return the result for a file with more than ``max_bytes`` bytes; ``scope`` states what the limit applies to."""
    return NotHashed(f"not hashed: over the limit of {max_bytes} bytes{scope}", ReadOutcome.OVER_LIMIT)


def size_mismatch(listed: int | None, counted: int) -> str | None:
    """Return a clause if the listed size differs from the counted size, else ``None``. Both sizes are in bytes."""
    if listed is None or listed == counted:
        return None
    return f"listed with {listed} bytes, but {counted} were served"
