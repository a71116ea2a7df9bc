"""Ranges in the log of states. A person accepted the states of these ranges, since no sync could commit them.

Every later commitment repeats the ranges. So each entry that commits a state shows whether a sync wrote the state or a
person accepted it, and a proof needs no other entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

ACCEPTED: Final = "accepted"
"""The JSON key of a commitment's accepted ranges."""
MAX_RANGES: Final = 100
"""The maximum number of ranges of a tenant. Each commitment repeats all ranges, and an entry of the trail must stay
short."""


@dataclass(frozen=True, slots=True)
class AcceptedRange:
    """The states from a first to a last position of the log, including both positions."""

    first: int
    last: int
    entry: int
    """The sequence number of the entry that states who accepted the range, and why."""

    def __contains__(self, position: int) -> bool:
        return self.first <= position <= self.last

    def to_json(self) -> dict[str, int]:
        """Return the range in the form that a commitment contains."""
        return asdict(self)


def parse_accepted(value: object) -> tuple[AcceptedRange, ...]:
    """Return the accepted ranges in the JSON of a commitment; empty for None, which a commitment without ranges has.

    Raises:
        ValueError: the value is not a list, or a part of it lacks one of the three numbers.
    """
    if value is None:
        return ()
    match value:
        case list(parts):
            return tuple(map(_range, parts))
        case _:
            raise ValueError("the accepted states are not a list")


def accepting_entry(accepted: Sequence[AcceptedRange], position: int) -> int | None:
    """Return the entry by which a person accepted the state at a position; None if no accepted range has it."""
    return next((part.entry for part in accepted if position in part), None)


def _range(value: object) -> AcceptedRange:
    match value:
        case {"first": int(first), "last": int(last), "entry": int(entry)}:
            return AcceptedRange(first, last, entry)
        case _:
            raise ValueError("accepted states have a first and a last position and an entry")
