"""Verifies a chain of links with its checkpoints, and reports the first damage. Few links are in memory at once."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from verifywise_mlflow.audit.chain import GENESIS_HASH, ChainLink, entry_hash
from verifywise_mlflow.audit.checkpoint import (
    Checkpoint,
    CheckpointClaim,
    InvalidCheckpointError,
    UnknownKeyError,
    parse_claim,
)
from verifywise_mlflow.audit.key_chain import KeyChain, ReplacedKeyError
from verifywise_mlflow.audit.tampering import Damage, diagnose, parse_position, prepend
from verifywise_mlflow.audit.trail_report import TrailReport

if TYPE_CHECKING:
    from verifywise_mlflow.audit.keys import PublicKey

PROGRESS_INTERVAL = 5_000
"""Entries between two calls of ``on_progress``."""
_TIME_LENGTH = len("2026-03-01T12:30:00.000000+00:00")
"""Characters after which a checkpoint's time is cut: without a key, it is unverified text of any length."""


@dataclass(frozen=True, slots=True)
class AnchoredCheckpoint:
    """A checkpoint with the number of the entry that it should sign."""

    sequence: int
    checkpoint: Checkpoint
    is_external: bool = False
    """Whether it was stored outside of the trail."""


@dataclass(frozen=True, slots=True)
class TrailHead:
    """The last entry of a trail as it was once recorded elsewhere, such as in Dagster's event log."""

    sequence: int
    entry_hash: str


Statement = AnchoredCheckpoint | TrailHead
"""A statement about the hash that an entry had."""


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
    heads: Sequence[TrailHead] = (),
) -> TrailReport:
    """Verify a tenant's chain and report the first damage: an invalid entry, or a statement that does not match.

    Args:
        tenant_id: The tenant whose chain it is.
        links: The chain, ordered by sequence.
        stored: The checkpoints in the database, ordered by sequence.
        external_checkpoints: Checkpoints from outside the database.
        keys: Trusted public keys, which may vouch for further keys (``KeyChain``). Without keys, checkpoints are
            compared, but their signatures are not verified.
        is_expected: Whether at least one entry must exist, so that an empty chain is damaged.
        on_progress: Receives the number of entries read.
        heads: Heads of the chain as they were recorded outside the database. They are trusted.

    Raises:
        InvalidCheckpointError: An external checkpoint is malformed.
    """
    inside: Iterable[Statement] = stored
    outside: list[Statement] = [
        AnchoredCheckpoint(parse_claim(checkpoint).sequence, checkpoint, True) for checkpoint in external_checkpoints
    ]
    statements = heapq.merge(inside, sorted([*outside, *heads], key=_sequence), key=_sequence)
    verifier = _ChainVerifier(tenant_id, KeyChain(keys) if keys else None, statements, is_expected)
    damage = verifier.run(iter(links), on_progress)
    return TrailReport(
        tenant_id=tenant_id,
        entries=verifier.last_valid.sequence if verifier.last_valid else 0,
        head=verifier.last_valid.hash if verifier.last_valid else None,
        damage=damage,
        checkpoints=verifier.matching_checkpoints,
        vouched=verifier.last_signed,
        signatures_judged=bool(keys),
        last_signed_at=verifier.last_signed_at,
        witnessed=verifier.last_witnessed,
        key_changes=tuple(verifier.keys.changes) if verifier.keys else (),
        unknown_key_id=verifier.unknown_key_id,
    )


def _sequence(statement: Statement) -> int:
    return statement.sequence


@dataclass(slots=True)
class _ChainVerifier:
    """Compares the entries of a chain, in order, with the statements about them."""

    tenant_id: str
    keys: KeyChain | None
    statements: Iterator[Statement]
    is_expected: bool
    last_valid: ChainLink | None = None
    """The last valid link."""
    matching_checkpoints: int = 0
    last_signed: int = 0
    last_signed_at: str | None = None
    last_witnessed: int = 0
    unknown_key_id: str | None = None
    _covered_before: int = 0
    """The last entry before the current entry that a verified signature or a statement from outside covers."""
    _next_statement: Statement | None = field(init=False)

    def __post_init__(self) -> None:
        self._next_statement = next(self.statements, None)

    def run(self, links: Iterator[ChainLink], on_progress: Callable[[int], None]) -> Damage | None:
        """Verify the chain to its end or to the first damage."""
        link = next(links, None)
        while link is not None:
            following = next(links, None)
            if not self._is_valid(link):
                last_signed = self.last_signed if self.keys else 0
                return diagnose(self.tenant_id, self.last_valid, link, prepend(following, links), last_signed)
            previous, self.last_valid = self.last_valid, link
            if self._next_statement is not None and self._next_statement.sequence <= link.sequence:
                damage = self._check_statements(link, following)
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
        if link.sequence != expected_sequence or entry_hash(link.text) != link.hash:
            return False
        position = parse_position(link.text)
        return (
            position is not None
            and position.sequence == expected_sequence
            and position.previous_hash == hash_before
            and position.tenant_id == self.tenant_id
        )

    def _check_statements(self, link: ChainLink, following: ChainLink | None) -> Damage | None:
        """Compare an entry with the checkpoints that sign it and the heads that state it."""
        texts: set[str] = set()
        self._covered_before = max(self.last_signed if self.keys else 0, self.last_witnessed)
        # Two keys sign the entry of a key change. The old key's checkpoint comes first, since it vouches for the new
        # key.
        for statement in sorted(self._statements_until(link.sequence), key=self._is_by_unknown_key):
            claim = self._read_claim(statement)
            if isinstance(claim, Damage):
                return claim
            if (claim.sequence, claim.entry_hash) != (link.sequence, link.hash):
                return self._mismatch(claim, following)
            if isinstance(statement, TrailHead):
                self.last_witnessed = link.sequence
                continue
            texts.add(statement.checkpoint.text)
            self.last_signed, self.last_signed_at = link.sequence, claim.signed_at[:_TIME_LENGTH]
            if statement.is_external:
                self.last_witnessed = link.sequence
            if self.keys:
                self.keys.follow(claim)
        self.matching_checkpoints += len(texts)
        return None

    def _statements_until(self, sequence: int) -> Iterator[Statement]:
        while self._next_statement is not None and self._next_statement.sequence <= sequence:
            yield self._next_statement
            self._next_statement = next(self.statements, None)

    def _is_by_unknown_key(self, statement: Statement) -> bool:
        if self.keys is None or isinstance(statement, TrailHead):
            return False
        try:
            return not self.keys.has(parse_claim(statement.checkpoint).key_id)
        except InvalidCheckpointError:
            return True

    def _mismatch(self, claim: CheckpointClaim, following: ChainLink | None) -> Damage:
        sequence = claim.sequence
        problem = f"entry {sequence} is not the one that {_source(claim)}"
        next_position = parse_position(following.text) if following else None
        if next_position and next_position.previous_hash == claim.entry_hash:
            return Damage("edit", sequence, problem)
        if self.keys and self.last_signed == sequence:
            reason = (
                f"a checkpoint with a valid signature says otherwise: compare again what you know of entry {sequence}"
            )
            return Damage("rewrite", sequence, f"{problem}, but {reason}")
        first = self._covered_before + 1
        which = f"entry {first} was" if first == sequence else f"one of the entries {first} to {sequence} was"
        return Damage("rewrite", sequence, f"{problem}: {which} changed, and the chain was rebuilt from there")

    def _check_truncation(self) -> Damage | None:
        """Report statements about entries that do not exist."""
        if self._next_statement is None:
            if self.last_valid or not self.is_expected:
                return None
            return Damage("truncation", 1, "the chain has no entries, but entries must have been written")
        claim = self._read_claim(self._next_statement)
        if isinstance(claim, Damage):
            return claim
        first = self.last_valid.sequence + 1 if self.last_valid else 1
        which = f"entry {first} is" if first == claim.sequence else f"entries {first} to {claim.sequence} are"
        return Damage("truncation", first, f"{which} cut off: the last {_source(claim)}")

    def _read_claim(self, statement: Statement) -> CheckpointClaim | Damage:
        sequence = statement.sequence
        if isinstance(statement, TrailHead):
            return CheckpointClaim(self.tenant_id, sequence, statement.entry_hash, signed_at="", key_id="")
        subject = f"the checkpoint of entry {sequence}"
        try:
            claim = self.keys.verify(statement.checkpoint) if self.keys else parse_claim(statement.checkpoint)
        except UnknownKeyError as error:
            self.unknown_key_id = error.key_id
            return Damage("unknown key", sequence, f"{subject}: {error}")
        except ReplacedKeyError as error:
            return Damage("replaced key", sequence, f"{subject}: {error}")
        except InvalidCheckpointError as error:
            return Damage("forged checkpoint", sequence, f"{subject}: {error}")
        if (claim.tenant_id, claim.sequence) != (self.tenant_id, sequence):
            return Damage(
                "forged checkpoint", sequence, f"{subject} signs entry {claim.sequence} of {claim.tenant_id!r}"
            )
        return claim


def _source(claim: CheckpointClaim) -> str:
    return (
        f"was signed at {claim.signed_at}" if claim.key_id or claim.signed_at else "was recorded elsewhere as the head"
    )
