"""What is wrong with a chain at the first link that does not fit, told from that link and those that follow.

The kind is right where one thing was done to the chain; where several were, it is one of them, and still the first
place. Two of them need a checkpoint to show at all: entries cut off at the end, and a chain written anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import orjson

from verifywise_mlflow.audit.chain import BEFORE_THE_FIRST, Link, entry_hash

DamageKind = Literal["edit", "gap", "reorder", "insertion", "truncation", "rewrite", "unknown key", "forged checkpoint"]


@dataclass(frozen=True, slots=True)
class Damage:
    """The first bad entry of a chain."""

    kind: DamageKind
    sequence: int
    """Its place; of entries that are missing, the first one's. Of a rewrite, the entry that was signed otherwise."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Told:
    """What an entry says of its place."""

    tenant_id: str
    sequence: int
    previous_hash: str


def told_by(text: str) -> Told | None:
    """Return what an entry says of its place; nothing, if it is no entry."""
    try:
        told: object = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    match told:
        case {"tenant_id": str(tenant_id), "sequence": int(sequence), "previous_hash": str(previous_hash)}:
            return Told(tenant_id, sequence, previous_hash)
        case _:
            return None


def first_damage(tenant_id: str, end: Link | None, here: Link, rest: Iterator[Link], vouched: int) -> Damage:
    """Return what is wrong with ``here``, which does not fit behind ``end``.

    Args:
        tenant_id: whose chain it is.
        end: the last link that fits.
        here: the first that does not.
        rest: the links behind it.
        vouched: up to which entry a signature says that the chain is genuine.
    """
    place, hash_before = (end.sequence + 1, end.hash) if end else (1, BEFORE_THE_FIRST)
    if here.sequence > place:
        return _missing(place, here.sequence - 1)
    if here.sequence < place:
        return Damage("insertion", here.sequence, f"there is no place {here.sequence} in a chain")
    if entry_hash(here.text) != here.hash:
        return Damage("edit", place, f"entry {place} is not the text that its hash was made of")
    told = told_by(here.text)
    if told is None:
        return Damage("edit", place, f"what stands at {place} is no entry of an audit trail")
    if told.tenant_id != tenant_id:
        return Damage("edit", place, f"entry {place} tells of another tenant, {told.tenant_id!r}")
    if told.sequence == place:
        return _not_linked(end, here, next(rest, None), vouched)
    if told.previous_hash == hash_before:
        return Damage("edit", place, f"entry {place} says that it is entry {told.sequence}")
    if told.sequence > place:
        return _gap_or_reorder(place, hash_before, told, rest)
    return _one_too_many(end, here, told, next(rest, None))


def _missing(first: int, last: int) -> Damage:
    which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
    return Damage("gap", first, f"{which} missing")


def _not_linked(end: Link | None, here: Link, following: Link | None, vouched: int) -> Damage:
    """It stands where it says, but does not hold the hash of the one before it."""
    place, hash_before = here.sequence, end.hash if end else BEFORE_THE_FIRST
    behind = told_by(following.text) if following else None
    if behind and (behind.sequence, behind.previous_hash) == (place, hash_before):
        return Damage("insertion", place, f"entry {place} was put in front of the one that belongs there")
    # One that was changed, hash and all, is known by its successor, which holds the hash that it had.
    if end is None or vouched == end.sequence or (behind and behind.previous_hash != here.hash):
        return Damage("edit", place, f"entry {place} does not hold the hash of the one before it")
    return Damage("edit", end.sequence, f"entry {end.sequence} is not the one that entry {place} was linked to")


def _gap_or_reorder(place: int, hash_before: str, told: Told, rest: Iterator[Link]) -> Damage:
    """It belongs further back: either what belongs here stands elsewhere, or it is nowhere."""
    for link in rest:
        there = told_by(link.text)
        if there and (there.sequence, there.previous_hash) == (place, hash_before):
            sentence = f"entry {told.sequence} stands in the place of entry {place}, which stands at {link.sequence}"
            return Damage("reorder", place, sentence)
    return _missing(place, told.sequence - 1)


def _one_too_many(end: Link | None, here: Link, told: Told, following: Link | None) -> Damage:
    """It says that it belongs where another stands."""
    place = here.sequence
    before = told_by(end.text) if end else None
    if end and before and (told.sequence, told.previous_hash) == (before.sequence, before.previous_hash):
        behind = told_by(following.text) if following else None
        # Two for one place: the one that the next entry is linked to belongs there.
        if here.hash != end.hash and (behind is None or behind.previous_hash == here.hash):
            return Damage("insertion", end.sequence, f"two entries say that they are entry {end.sequence}")
    return Damage("insertion", place, f"at {place} stands an entry that says that it is entry {told.sequence}")


def with_first(following: Link | None, rest: Iterator[Link]) -> Iterator[Link]:
    """Return the links from one that was taken already."""
    return chain([following] if following else [], rest)
