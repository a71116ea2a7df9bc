"""Findings: what was read but looks wrong. Rules use the kind, people read the sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

FindingKind = Literal[
    "unknown value",
    "unreadable date",
    "conflict",
    "ambiguous stage",
    "dangling alias",
    "deleted run",
    "hidden from search",
    "not ready",
    "recreated",
    "changed in place",
    "uncertain origin",
    "secret redacted",
    "personal data redacted",
]

FINDING_KINDS: Final[tuple[FindingKind, ...]] = get_args(FindingKind)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a version that a person should look at. It changes no value of the record."""

    kind: FindingKind
    field: str | None
    """The field of the record; null if the finding is about the version itself or an object that belongs to it."""
    sentence: str
