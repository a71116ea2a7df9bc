"""Builds and checks a release: ``make release``. docs/how-to/release.md describes it.

It imports the standard library only: the build backend, twine and cyclonedx-py each run in an environment of their own,
from a lock file with hashes.
"""

from __future__ import annotations


class ReleaseError(Exception):
    """The reason why no release can be made."""
