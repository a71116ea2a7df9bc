"""Limits on reading a version's files. The manifest states what a limit has left out; nothing is dropped silently."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class ManifestLimits:
    """Limits for the manifest of one model version. Files, directories and depth are counted per root."""

    max_files: int = 10_000
    max_directories: int = 2_000
    """The maximum number of directories per root. Each directory costs one listing request."""
    max_depth: int = 32
    """The maximum number of path segments below the root. It ends a loop of symbolic links on the server."""
    max_file_bytes: int = 16 * GIB
    """The largest file that is hashed, in bytes."""
    max_total_bytes: int = 64 * GIB
    """The maximum number of bytes that are hashed for one version, over both roots together."""
    timeout_s: float = 3_600.0
    """The seconds after which no further file of the version is hashed."""
