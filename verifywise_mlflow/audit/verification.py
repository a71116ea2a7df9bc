"""Verifies a chain: a stream of links and of checkpoints in, a report out. It remembers two links at a time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from verifywise_mlflow.audit.chain import BEFORE_THE_FIRST, Link
from verifywise_mlflow.audit.checkpoint import (
    Checkpoint,
    Claim,
    NotACheckpointError,
    UnknownKeyError,
    claim_of,
    signed_claim,
)
from verifywise_mlflow.audit.keys import PublicKey
from verifywise_mlflow.audit.tampering import Damage, first_damage, told_by, with_first

SHOWN_EVERY = 5_000
"""Entries between two calls of ``show``."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A checkpoint, and the entry that it stands beside."""

    sequence: int
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class TrailReport:
    """What became of verifying a tenant's chain."""

    tenant_id: str
    entries: int
    """That fit, from the first on."""
    head: str | None
    """The hash of the last of them."""
    damage: Damage | None
    checkpoints: int
    """That agree with the chain."""
    vouched: int
    """The last entry that a checkpoint stands for."""
    signatures_judged: bool
    """Whether there was a public key to judge the checkpoints' signatures with."""


def _show_nothing(done: int) -> None:
    """Progress for nobody."""


def verify(
    tenant_id: str,
    links: Iterable[Link],
    stored: Iterable[Placed],
    kept_elsewhere: Sequence[Checkpoint] = (),
    keys: Sequence[PublicKey] = (),
    is_expected: bool = False,
    show: Callable[[int], None] = _show_nothing,
) -> TrailReport:
    """Return whether a tenant's chain is whole, and else the first entry that is not as it was written.

    Args:
        tenant_id: whose chain it is.
        links: the chain by rising sequence.
        stored: the checkpoints that lie beside the chain, by rising sequence.
        kept_elsewhere: checkpoints from outside the database.
        keys: whose signatures count. Without any, checkpoints are compared, and their signatures left unjudged.
        is_expected: whether something must have been written, so that no entry at all is not right.
        show: takes how many entries were read.

    Raises:
        NotACheckpointError: one that was kept elsewhere is none.
    """
    kept = sorted((Placed(claim_of(one).sequence, one) for one in kept_elsewhere), key=_place)
    walk = _Walk(tenant_id, keys, iter(heapq.merge(stored, kept, key=_place)), is_expected)
    damage = walk.along(iter(links), show)
    return TrailReport(
        tenant_id=tenant_id,
        entries=walk.end.sequence if walk.end else 0,
        head=walk.end.hash if walk.end else None,
        damage=damage,
        checkpoints=walk.agreeing,
        vouched=walk.vouched,
        signatures_judged=bool(keys),
    )


def _place(placed: Placed) -> int:
    return placed.sequence


@dataclass(slots=True)
class _Walk:
    tenant_id: str
    keys: Sequence[PublicKey]
    checkpoints: Iterator[Placed]
    is_expected: bool
    end: Link | None = None
    """The last link that fits."""
    agreeing: int = 0
    vouched: int = 0
    _due: Placed | None = field(init=False)

    def __post_init__(self) -> None:
        self._due = next(self.checkpoints, None)

    def along(self, links: Iterator[Link], show: Callable[[int], None]) -> Damage | None:
        """Go along the chain to its end, or to the first damage."""
        here = next(links, None)
        while here is not None:
            following = next(links, None)
            if not self._fits(here):
                vouched = self.vouched if self.keys else 0
                return first_damage(self.tenant_id, self.end, here, with_first(following, links), vouched)
            before, self.end = self.end, here
            if self._due is not None and self._due.sequence <= here.sequence:
                damage = self._beside(here, following)
                if damage:
                    self.end = before
                    return damage
            if here.sequence % SHOWN_EVERY == 0:
                show(here.sequence)
            here = following
        return self._beyond()

    def _fits(self, here: Link) -> bool:
        place, hash_before = (self.end.sequence + 1, self.end.hash) if self.end else (1, BEFORE_THE_FIRST)
        if here.sequence != place or sha256(here.text.encode()).hexdigest() != here.hash:
            return False
        told = told_by(here.text)
        return (
            told is not None
            and told.sequence == place
            and told.previous_hash == hash_before
            and told.tenant_id == self.tenant_id
        )

    def _beside(self, here: Link, following: Link | None) -> Damage | None:
        """Compare an entry with the checkpoints that stand beside it."""
        while self._due is not None and self._due.sequence <= here.sequence:
            claim = self._claim(self._due)
            if isinstance(claim, Damage):
                return claim
            if claim.entry_hash != here.hash:
                return self._otherwise(claim, following)
            self.agreeing += 1
            self.vouched = here.sequence
            self._due = next(self.checkpoints, None)
        return None

    def _otherwise(self, claim: Claim, following: Link | None) -> Damage:
        place = claim.sequence
        behind = told_by(following.text) if following else None
        if behind and behind.previous_hash == claim.entry_hash:
            return Damage("edit", place, f"entry {place} is not the one that was signed at {claim.signed_at}")
        return Damage(
            "rewrite",
            place,
            f"entry {place} is not the one that was signed at {claim.signed_at}: it, or any after entry "
            f"{self.vouched}, was changed, and what follows was chained anew",
        )

    def _beyond(self) -> Damage | None:
        """Look at the checkpoints of entries that are not there."""
        if self._due is None:
            if self.end or not self.is_expected:
                return None
            return Damage("truncation", 1, "there is not one entry, though there must have been some")
        claim = self._claim(self._due)
        if isinstance(claim, Damage):
            return claim
        first = self.end.sequence + 1 if self.end else 1
        which = f"entry {first} is" if first == claim.sequence else f"entries {first} to {claim.sequence} are"
        return Damage("truncation", first, f"{which} cut off: the last was signed at {claim.signed_at}")

    def _claim(self, placed: Placed) -> Claim | Damage:
        try:
            claim = signed_claim(placed.checkpoint, self.keys) if self.keys else claim_of(placed.checkpoint)
        except UnknownKeyError as error:
            return Damage("unknown key", placed.sequence, f"the checkpoint of entry {placed.sequence}: {error}")
        except NotACheckpointError as error:
            return Damage("forged checkpoint", placed.sequence, f"the checkpoint of entry {placed.sequence}: {error}")
        if (claim.tenant_id, claim.sequence) != (self.tenant_id, placed.sequence):
            sentence = (
                f"the checkpoint of entry {placed.sequence} speaks of entry {claim.sequence} of {claim.tenant_id!r}"
            )
            return Damage("forged checkpoint", placed.sequence, sentence)
        return claim
