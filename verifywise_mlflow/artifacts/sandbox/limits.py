"""Resource limits of the sandbox's worker processes."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Limits on one worker process, and timeouts for waiting on it."""

    max_memory_bytes: int = 256 * MIB
    """The address space of one process, including its program and libraries (about 40 MiB)."""
    parse_timeout_s: float = 10.0
    """The seconds for parsing the environment files of one version. Benign files take milliseconds."""
    max_response_bytes: int = 8 * MIB
    """The longest response. An environment of 15,000 packages, which is our parsers' maximum, takes half of this."""
