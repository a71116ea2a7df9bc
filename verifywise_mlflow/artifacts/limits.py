"""How much of a version's files is looked at. What lies beyond is named in the manifest, never left out in silence."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds for the manifest of one model version. Files, directories and depth count for each root apart."""

    files: int = 10_000
    directories: int = 2_000
    """One listing request each."""
    depth: int = 32
    """Path segments below the root. A symlinked loop on the server ends here."""
    file_bytes: int = 16 * GIB
    """The largest file that is hashed."""
    total_bytes: int = 64 * GIB
    """Bytes hashed for one version, over both roots."""
    seconds: float = 3_600.0
    """No file of a version is begun to be hashed after this."""
