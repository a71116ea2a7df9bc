"""The section of a version in CHANGELOG.md, which becomes the notes of the release."""

from __future__ import annotations

import re
from datetime import date

from tools.release import ReleaseError

HEADING = re.compile(r"^## (?P<version>\S+)(?: - (?P<date>\S+))?$", re.MULTILINE)
ENTRY = re.compile(r"^- \S", re.MULTILINE)


def release_notes(changelog: str, version: str) -> str:
    """Return the text below the heading ``## VERSION - YYYY-MM-DD``, up to the heading of the next version.

    Raises:
        ReleaseError: There is no such heading, its date is missing or impossible, or no entry follows it.
    """
    headings = list(HEADING.finditer(changelog))
    expected = f"a section '## {version} - YYYY-MM-DD' with at least one entry is required"
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading["version"] != version:
            continue
        if not _is_date(heading["date"] or ""):
            raise ReleaseError(f"CHANGELOG.md has no date of release for {version}: {expected}")
        notes = changelog[heading.end() : following.start() if following else None].strip()
        if not ENTRY.search(notes):
            raise ReleaseError(f"CHANGELOG.md has no entry for {version}: {expected}")
        return notes + "\n"
    raise ReleaseError(f"CHANGELOG.md has no section for {version}: {expected}")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
