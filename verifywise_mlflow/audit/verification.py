"""Verifies a chain: streams of links and checkpoints in, a report out. Only two links are in memory at a time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from verifywise_mlflow.audit.chain import GENESIS_HASH, ChainLink
from verifywise_mlflow.audit.checkpoint import (
    Checkpoint,
    CheckpointClaim,
    InvalidCheckpointError,
    UnknownKeyError,
    parse_claim,
    verify_claim,
)
from verifywise_mlflow.audit.tampering import Damage, diagnose, parse_position, prepend

if TYPE_CHECKING:
    from verifywise_mlflow.audit.keys import PublicKey

PROGRESS_INTERVAL = 5_000
"""Entries between two calls of ``on_progress``."""


@dataclass(frozen=True, slots=True)
class AnchoredCheckpoint:
    """A checkpoint with the number of the entry that it signs."""

    sequence: int
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class TrailReport:
    """The result of verifying a tenant's chain."""

    tenant_id: str
    entries: int
    """Number of valid entries, from the first on."""
    head: str | None
    """The hash of the last valid entry."""
    damage: Damage | None
    checkpoints: int
    """Number of checkpoints that match the chain."""
    vouched: int
    """The last entry that a checkpoint covers."""
    signatures_judged: bool
    """Whether a public key was supplied, so that the checkpoints' signatures were verified."""


def _ignore_progress(done: int) -> None:
    """Discard progress reports."""


def verify_chain(
    tenant_id: str,
    links: Iterable[ChainLink],
    stored: Iterable[AnchoredCheckpoint],
    external_checkpoints: Sequence[Checkpoint] = (),
    keys: Sequence[PublicKey] = (),
    is_expected: bool = False,
    on_progress: Callable[[int], None] = _ignore_progress,
) -> TrailReport:
    """Verify a tenant's chain and report the first entry that is not as it was written.

    Args:
        tenant_id: The tenant whose chain it is.
        links: The chain, ordered by sequence.
        stored: The checkpoints in the database, ordered by sequence.
        external_checkpoints: Checkpoints from outside the database.
        keys: Trusted public keys. Without any, checkpoints are compared but their signatures are not verified.
        is_expected: Whether at least one entry must exist, so that an empty chain is damaged.
        on_progress: Receives the number of entries read.

    Raises:
        InvalidCheckpointError: An external checkpoint is malformed.
    """
    external = sorted(
        (AnchoredCheckpoint(parse_claim(checkpoint).sequence, checkpoint) for checkpoint in external_checkpoints),
        key=_sequence,
    )
    verifier = _ChainVerifier(tenant_id, keys, iter(heapq.merge(stored, external, key=_sequence)), is_expected)
    damage = verifier.run(iter(links), on_progress)
    return TrailReport(
        tenant_id=tenant_id,
        entries=verifier.last_valid.sequence if verifier.last_valid else 0,
        head=verifier.last_valid.hash if verifier.last_valid else None,
        damage=damage,
        checkpoints=verifier.matching_checkpoints,
        vouched=verifier.last_signed,
        signatures_judged=bool(keys),
    )


def _sequence(anchored: AnchoredCheckpoint) -> int:
    return anchored.sequence


@dataclass(slots=True)
class _ChainVerifier:
    """Walks a chain with the checkpoints next to it."""

    tenant_id: str
    keys: Sequence[PublicKey]
    checkpoints: Iterator[AnchoredCheckpoint]
    is_expected: bool
    last_valid: ChainLink | None = None
    """The last valid link."""
    matching_checkpoints: int = 0
    last_signed: int = 0
    _next_checkpoint: AnchoredCheckpoint | None = field(init=False)

    def __post_init__(self) -> None:
        self._next_checkpoint = next(self.checkpoints, None)

    def run(self, links: Iterator[ChainLink], on_progress: Callable[[int], None]) -> Damage | None:
        """Walk the chain to its end or to the first damage."""
        link = next(links, None)
        while link is not None:
            following = next(links, None)
            if not self._is_valid(link):
                last_signed = self.last_signed if self.keys else 0
                return diagnose(self.tenant_id, self.last_valid, link, prepend(following, links), last_signed)
            previous, self.last_valid = self.last_valid, link
            if self._next_checkpoint is not None and self._next_checkpoint.sequence <= link.sequence:
                damage = self._check_checkpoints(link, following)
                if damage:
                    self.last_valid = previous
                    return damage
            if link.sequence % PROGRESS_INTERVAL == 0:
                on_progress(link.sequence)
            link = following
        return self._check_truncation()

    def _is_valid(self, link: ChainLink) -> bool:
        expected_sequence, hash_before = (
            (self.last_valid.sequence + 1, self.last_valid.hash) if self.last_valid else (1, GENESIS_HASH)
        )
        if link.sequence != expected_sequence or sha256(link.text.encode()).hexdigest() != link.hash:
            return False
        position = parse_position(link.text)
        return (
            position is not None
            and position.sequence == expected_sequence
            and position.previous_hash == hash_before
            and position.tenant_id == self.tenant_id
        )

    def _check_checkpoints(self, link: ChainLink, following: ChainLink | None) -> Damage | None:
        """Compare an entry with the checkpoints that sign it."""
        while self._next_checkpoint is not None and self._next_checkpoint.sequence <= link.sequence:
            claim = self._read_claim(self._next_checkpoint)
            if isinstance(claim, Damage):
                return claim
            if claim.entry_hash != link.hash:
                return self._mismatch(claim, following)
            self.matching_checkpoints += 1
            self.last_signed = link.sequence
            self._next_checkpoint = next(self.checkpoints, None)
        return None

    def _mismatch(self, claim: CheckpointClaim, following: ChainLink | None) -> Damage:
        sequence = claim.sequence
        next_position = parse_position(following.text) if following else None
        if next_position and next_position.previous_hash == claim.entry_hash:
            return Damage("edit", sequence, f"entry {sequence} is not the one that was signed at {claim.signed_at}")
        return Damage(
            "rewrite",
            sequence,
            f"entry {sequence} is not the one that was signed at {claim.signed_at}: an entry after {self.last_signed} "
            f"was changed, and the chain was rebuilt from there",
        )

    def _check_truncation(self) -> Damage | None:
        """Report checkpoints of entries that do not exist."""
        if self._next_checkpoint is None:
            if self.last_valid or not self.is_expected:
                return None
            return Damage("truncation", 1, "the chain has no entries, but entries must have been written")
        claim = self._read_claim(self._next_checkpoint)
        if isinstance(claim, Damage):
            return claim
        first = self.last_valid.sequence + 1 if self.last_valid else 1
        which = f"entry {first} is" if first == claim.sequence else f"entries {first} to {claim.sequence} are"
        return Damage("truncation", first, f"{which} cut off: the last was signed at {claim.signed_at}")

    def _read_claim(self, anchored: AnchoredCheckpoint) -> CheckpointClaim | Damage:
        try:
            claim = verify_claim(anchored.checkpoint, self.keys) if self.keys else parse_claim(anchored.checkpoint)
        except UnknownKeyError as error:
            return Damage("unknown key", anchored.sequence, f"the checkpoint of entry {anchored.sequence}: {error}")
        except InvalidCheckpointError as error:
            return Damage(
                "forged checkpoint", anchored.sequence, f"the checkpoint of entry {anchored.sequence}: {error}"
            )
        if (claim.tenant_id, claim.sequence) != (self.tenant_id, anchored.sequence):
            sentence = (
                f"the checkpoint of entry {anchored.sequence} signs entry {claim.sequence} of {claim.tenant_id!r}"
            )
            return Damage("forged checkpoint", anchored.sequence, sentence)
        return claim
