"""What was read but looks wrong: of a closed set of kinds, for rules, and with a sentence, for people."""

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
    "secret redacted",
    "personal data redacted",
]

FINDING_KINDS: Final[tuple[FindingKind, ...]] = get_args(FindingKind)

_LONGEST_QUOTE = 80


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a version that a person should look at. It changes no value of the record."""

    kind: FindingKind
    field: str | None
    """The field of the record that it is about; null where it is about the version or what belongs to it."""
    sentence: str


def quoted(text: str) -> str:
    """Return a text for use in a sentence: in quotes, shortened, control characters and surrogates escaped."""
    return repr(text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}…")
