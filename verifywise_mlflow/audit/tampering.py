"""Diagnoses tampering at the first invalid link of a chain, from this link and the links after it.

If the chain was changed in one way, the diagnosis names this change, or a change that leaves the same links. If it was
changed in several ways, the diagnosis names one of these changes, at the first affected entry. Only a checkpoint or a
head that was recorded elsewhere reveals truncation and a rebuilt chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import orjson

from verifywise_mlflow.audit.chain import GENESIS_HASH, ChainLink, entry_hash

DamageKind = Literal[
    "edit",
    "gap",
    "reorder",
    "insertion",
    "truncation",
    "rewrite",
    "unknown key",
    "replaced key",
    "forged checkpoint",
]


@dataclass(frozen=True, slots=True)
class Damage:
    """The first damage of a chain: which entry or checkpoint is invalid, and why."""

    kind: DamageKind
    sequence: int
    """The number of the invalid entry or of the first missing one. For a rewritten chain and an invalid checkpoint, the
    number of the entry that the checkpoint or head is about."""
    sentence: str


@dataclass(frozen=True, slots=True)
class EntryPosition:
    """The position that an entry claims for itself."""

    tenant_id: str
    sequence: int
    previous_hash: str


def parse_position(text: str) -> EntryPosition | None:
    """Return the position that an entry claims, or ``None`` if the text is not an entry."""
    try:
        entry: object = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    match entry:
        case {"tenant_id": str(tenant_id), "sequence": int(sequence), "previous_hash": str(previous_hash)}:
            return EntryPosition(tenant_id, sequence, previous_hash)
        case _:
            return None


def diagnose(
    tenant_id: str, previous: ChainLink | None, link: ChainLink, later_links: Iterator[ChainLink], last_signed: int
) -> Damage:
    """Return a diagnosis of ``link``, which is not a valid successor of ``previous``.

    Args:
        tenant_id: The tenant whose chain it is.
        previous: The last valid link.
        link: The first invalid link.
        later_links: The links after it.
        last_signed: The last entry that a verified checkpoint covers; 0 if there is none.
    """
    expected_sequence, hash_before = (previous.sequence + 1, previous.hash) if previous else (1, GENESIS_HASH)
    if link.sequence > expected_sequence:
        return _missing_entries(expected_sequence, link.sequence - 1)
    if link.sequence < expected_sequence:
        return Damage("insertion", link.sequence, f"the sequence number {link.sequence} is used twice or is below 1")
    if entry_hash(link.text) != link.hash:
        return Damage("edit", expected_sequence, f"entry {expected_sequence} does not match its hash")
    position = parse_position(link.text)
    if position is None:
        return Damage("edit", expected_sequence, f"entry {expected_sequence} is not an entry of an audit trail")
    if position.tenant_id != tenant_id:
        return Damage(
            "edit", expected_sequence, f"entry {expected_sequence} belongs to another tenant, {position.tenant_id!r}"
        )
    if position.sequence == expected_sequence:
        return _broken_link(previous, link, next(later_links, None), last_signed)
    if position.previous_hash == hash_before:
        return Damage("edit", expected_sequence, f"entry {expected_sequence} claims to be entry {position.sequence}")
    if position.sequence > expected_sequence:
        return _gap_or_reorder(expected_sequence, hash_before, position, later_links)
    return _extra_entry(previous, link, position, next(later_links, None))


def _missing_entries(first: int, last: int) -> Damage:
    which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
    return Damage("gap", first, f"{which} missing")


def _broken_link(previous: ChainLink | None, link: ChainLink, following: ChainLink | None, last_signed: int) -> Damage:
    """Diagnose a link at its claimed position whose ``previous_hash`` is wrong."""
    sequence, hash_before = link.sequence, previous.hash if previous else GENESIS_HASH
    next_position = parse_position(following.text) if following else None
    if next_position and _is_at(next_position, sequence, hash_before):
        return Damage("insertion", sequence, f"entry {sequence} was inserted before the genuine one")
    # An entry that was edited together with its hash is revealed by its successor, which has the original hash.
    if (
        previous is None
        or last_signed == previous.sequence
        or (next_position and next_position.previous_hash != link.hash)
    ):
        return Damage("edit", sequence, f"entry {sequence} does not contain the hash of the entry before it")
    return Damage(
        "edit", previous.sequence, f"entry {previous.sequence} is not the one whose hash entry {sequence} contains"
    )


def _gap_or_reorder(
    expected_sequence: int, hash_before: str, position: EntryPosition, later_links: Iterator[ChainLink]
) -> Damage:
    """Diagnose a link that claims a later position: the expected entry was either moved or deleted."""
    for link in later_links:
        other_position = parse_position(link.text)
        if other_position and _is_at(other_position, expected_sequence, hash_before):
            places = f"is at the position of entry {expected_sequence}, which is at {link.sequence}"
            return Damage("reorder", expected_sequence, f"entry {position.sequence} {places}")
    return _missing_entries(expected_sequence, position.sequence - 1)


def _extra_entry(
    previous: ChainLink | None, link: ChainLink, position: EntryPosition, following: ChainLink | None
) -> Damage:
    """Diagnose a link that claims the position of an earlier link."""
    sequence = link.sequence
    previous_position = parse_position(previous.text) if previous else None
    if previous and previous_position and _is_at(position, previous_position.sequence, previous_position.previous_hash):
        next_position = parse_position(following.text) if following else None
        # Two entries claim one position. The next entry contains the hash of the genuine entry.
        if link.hash != previous.hash and (next_position is None or next_position.previous_hash == link.hash):
            return Damage("insertion", previous.sequence, f"two entries claim to be entry {previous.sequence}")
    return Damage("insertion", sequence, f"the entry at {sequence} claims to be entry {position.sequence}")


def _is_at(position: EntryPosition, sequence: int, previous_hash: str) -> bool:
    return (position.sequence, position.previous_hash) == (sequence, previous_hash)


def prepend(following: ChainLink | None, links: Iterator[ChainLink]) -> Iterator[ChainLink]:
    """Put a link that was already consumed back in front."""
    return chain([following] if following else [], links)
