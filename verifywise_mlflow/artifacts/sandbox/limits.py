"""Resource limits of the sandbox's worker processes."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2
GIB = 1024**3

MIN_HASH_BYTES_PER_SECOND = 50 * MIB
"""A lower bound: even an old processor computes SHA-256 in plain C three times as fast."""


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Limits on one worker process, and timeouts for waiting on it."""

    max_file_bytes: int = 16 * GIB
    """The largest file that is hashed. The CPU time limit is derived from it."""
    max_memory_bytes: int = 256 * MIB
    """Address space of one process, including its program and libraries (about 40 MiB)."""
    stall_timeout_s: float = 60.0
    """Seconds for one chunk, or for the hash once all bytes are sent."""
    parse_timeout_s: float = 10.0
    """Seconds for the environment files of one version. Benign files take milliseconds."""
    max_response_bytes: int = 8 * MIB
    """An environment of 15,000 packages, the most that our parsers keep, takes half of it."""

    @property
    def max_worker_bytes(self) -> int:
        """Bytes after which a hashing worker is replaced, between two files."""
        return max(self.max_file_bytes, GIB)

    @property
    def max_hashing_cpu_s(self) -> int:
        """CPU seconds of one hashing worker. A benign one reads at most twice ``max_worker_bytes`` and needs fewer."""
        return 60 + 2 * self.max_worker_bytes // MIN_HASH_BYTES_PER_SECOND
