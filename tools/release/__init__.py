"""Builds and checks a release: ``make release``. docs/how-to/release.md describes it.

It imports the standard library only: each tool runs in an environment of its own, from a lock file with hashes.
"""

from __future__ import annotations


class ReleaseError(Exception):
    """Why there is no release, as a sentence that says what to do."""
