"""The chain of keys of one trail: from the public keys that a verifier trusts to the keys for which they vouch.

A checkpoint with a ``next_key`` ends the validity of its own key. A checkpoint that ``replaces`` other keys ends their
validity. Signatures of a replaced key over later entries are refused, so a stolen key cannot vouch for new entries. A
replaced key becomes valid again if a later checkpoint vouches for it. If a lost key could not vouch for its successor,
the verifier must supply the successor, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verifywise_mlflow.audit.checkpoint import (
    Checkpoint,
    CheckpointClaim,
    InvalidCheckpointError,
    verify_claim,
)

if TYPE_CHECKING:  # imports cryptography, which takes 0.05 s
    from verifywise_mlflow.audit.keys import PublicKey


class ReplacedKeyError(InvalidCheckpointError):
    """The checkpoint's key was replaced at an earlier entry than the checkpoint's entry."""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key vouched for the next key."""

    sequence: int
    """The entry whose checkpoint vouches for the new key."""
    old_key_id: str
    new_key_id: str


class KeyChain:
    """The keys that are trusted up to the entry that is being verified."""

    def __init__(self, trusted: Sequence[PublicKey]) -> None:
        self._trusted = {key.key_id: key for key in trusted}
        self._replaced: dict[str, int] = {}
        self.changes: list[KeyChange] = []

    def has(self, key_id: str) -> bool:
        """Whether checkpoints of this key can be verified."""
        return key_id in self._trusted

    def verify(self, checkpoint: Checkpoint) -> CheckpointClaim:
        """Return a checkpoint's content after verifying its signature with a key that was trusted at its entry.

        Raises:
            UnknownKeyError: No trusted key has this id.
            ReplacedKeyError: The key was replaced before this entry.
            InvalidCheckpointError: The text is not a checkpoint, its signature is wrong, or it vouches for something
                other than a key.
        """
        claim = verify_claim(checkpoint, tuple(self._trusted.values()))
        replaced_at = self._replaced.get(claim.key_id, claim.sequence)
        if claim.sequence > replaced_at:
            raise ReplacedKeyError(f"it was signed by the key {claim.key_id}, which entry {replaced_at} replaced")
        if claim.next_key is not None:
            _parse(claim.next_key)
        return claim

    def follow(self, claim: CheckpointClaim) -> None:
        """Apply a checkpoint: after its entry, trust its ``next_key`` instead of its own, and no key it ``replaces``.

        Args:
            claim: What ``verify`` returned. Most checkpoints change no key.
        """
        self._replaced.update(dict.fromkeys(claim.replaces, claim.sequence))
        if claim.next_key is None:
            return
        key = _parse(claim.next_key)
        self._replaced[claim.key_id] = claim.sequence
        self._replaced.pop(key.key_id, None)
        self._trusted[key.key_id] = key
        change = KeyChange(claim.sequence, claim.key_id, key.key_id)
        if change not in self.changes[-1:]:
            self.changes.append(change)


def _parse(pem: str) -> PublicKey:
    from verifywise_mlflow.audit.keys import InvalidKeyError, PublicKey

    try:
        return PublicKey.from_pem(pem.encode("utf-8", "surrogatepass"))
    except InvalidKeyError as error:
        raise InvalidCheckpointError(f"it vouches for a key that cannot be used: {error}") from None
