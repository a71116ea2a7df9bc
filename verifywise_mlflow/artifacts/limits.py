"""Limits on reading a version's files. The manifest states what a limit has left out; nothing is dropped silently."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class ManifestLimits:
    """Limits for the manifest of one model version. Files, directories and depth are counted per root."""

    max_files: int = 10_000
    max_directories: int = 2_000
    """Directories per root. Each directory costs one listing request."""
    max_depth: int = 32
    """Path segments below the root. A symlinked loop on the server ends here."""
    max_file_bytes: int = 16 * GIB
    """The largest file that is hashed, in bytes."""
    max_total_bytes: int = 64 * GIB
    """Bytes hashed for one version, over both roots together."""
    timeout_s: float = 3_600.0
    """Seconds after which no further file of the version is hashed."""
