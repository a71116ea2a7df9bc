"""What the sandbox's processes may use, at most."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2
GIB = 1024**3

SLOWEST_BYTES_A_SECOND = 50 * MIB
"""SHA-256 in plain C on an old processor does three times that."""


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Bounds on one process inside, and on our patience with it."""

    file_bytes: int = 16 * GIB
    """The largest file that is ever hashed: the time of the processor is allotted by it."""
    memory_bytes: int = 256 * MIB
    """Address space of one process, its program and libraries included (some 40 MiB)."""
    stall_seconds: float = 60.0
    """How long it may take over one chunk, or over a hash once all bytes are sent."""
    parse_seconds: float = 10.0
    """How long the environment files of one version may take; honest ones take milliseconds."""
    answer_bytes: int = 8 * MIB
    """An environment of 15,000 packages, the most that our parsers keep, has half of that."""

    @property
    def worker_bytes(self) -> int:
        """Bytes after which a hashing process is replaced, between two files."""
        return max(self.file_bytes, GIB)

    @property
    def hashing_cpu_seconds(self) -> int:
        """Of one hashing process: never in the way of an honest one, which takes twice ``worker_bytes`` at most."""
        return 60 + 2 * self.worker_bytes // SLOWEST_BYTES_A_SECOND
