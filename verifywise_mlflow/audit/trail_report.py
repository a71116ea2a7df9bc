"""The result of verifying a trail: what is wrong with it, what is proved, and what is not.

If a public key is supplied, an undamaged trail is not yet ``intact``. The owner of the database can cut the trail off
right after a checkpoint, remove later checkpoints and append other entries. The result is a chain with valid
signatures. Only a statement from outside the database shows that entries are missing: a checkpoint that was stored
elsewhere, or the head of the chain as it was recorded elsewhere. So a verifier who supplies a key gets ``intact`` only
if such a statement covers every entry. If the verifier sets ``through``, the statement must cover every entry up to the
entry ``through``. Otherwise the outcome of a signed trail is ``unproved``, which has an exit code of its own, and the
report states what to compare with.

The daily verification fails for a damaged trail and for a trail that no key signed, but not for an ``unproved`` trail.
Entries that no checkpoint covers yet are normal between two syncs, and an alert that is always on is not an alert. The
verification notices a truncated trail only if it can read checkpoints back from a witness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from verifywise_mlflow.audit.key_chain import KeyChange
from verifywise_mlflow.audit.tampering import Damage

TrailOutcome = Literal["intact", "damaged", "unsigned", "unproved"]
"""``unsigned``: a key was supplied, but it has signed no checkpoint of the trail."""


@dataclass(frozen=True, slots=True)
class TrailReport:
    """The result of verifying a tenant's chain."""

    tenant_id: str
    entries: int
    """The number of valid entries before the first damage."""
    head: str | None
    """The hash of the last valid entry; None without a valid entry."""
    damage: Damage | None
    checkpoints: int
    """The number of distinct checkpoints that match the chain."""
    vouched: int
    """The last entry that a checkpoint covers; 0 without such an entry."""
    signatures_judged: bool
    """Whether a public key was supplied, so that the checkpoints' signatures were verified."""
    last_signed_at: str | None = None
    """The signing time that the checkpoint over the entry ``vouched`` states. Without a key, the text is unverified."""
    witnessed: int = 0
    """The last entry that a checkpoint stored elsewhere or a recorded head covers; 0 without such an entry."""
    key_changes: tuple[KeyChange, ...] = ()
    """The changes of the signing key for which the old key vouched, in their order."""
    unknown_key_id: str | None = None
    """The key that a checkpoint names although no supplied key vouches for it. Such a trail is damaged."""

    def outcome(self, through: int | None = None) -> TrailOutcome:
        """Return what the verification shows about all entries, or about the entries up to ``through``."""
        if self.damage:
            return "damaged"
        if self.signatures_judged and not self.vouched:
            return "unsigned"
        if (self.signatures_judged or through is not None) and self.witnessed < self._end(through):
            return "unproved"
        return "intact"

    def not_proved(self, through: int | None = None) -> list[str]:
        """Return a sentence about each fact that an undamaged trail does not prove; empty for a damaged trail."""
        if self.damage:
            return []
        if not self.signatures_judged:
            sentences = ["no signature was verified: pass --public-key"]
        elif not self.vouched:
            return [
                "no signature vouches for this trail: it has no checkpoint, so everybody who can write to the database "
                "could have written all of it"
            ]
        else:
            sentences = []
        end = self._end(through)
        if end > self.entries:
            sentences.append(f"the trail ends with entry {self.entries:,}, before entry {end:,}")
        if self.vouched < min(end, self.entries):
            count = min(end, self.entries) - self.vouched
            sentences.append(f"no checkpoint covers {_range(self.vouched + 1, self.vouched + count)}")
        if self.witnessed < end:
            sentences += self._not_witnessed(end)
        return sentences

    def _not_witnessed(self, end: int) -> Iterator[str]:
        than = f", newer than {self.last_signed_at}" if self.last_signed_at else ""
        checkpoint, head = f"a checkpoint stored elsewhere{than} (--checkpoint)", "a head recorded elsewhere (--head)"
        remedy = f"compare with {checkpoint}, or with {head}"
        if end < self.entries:
            yield f"no checkpoint or head from outside covers {_range(self.witnessed + 1, end)}: {remedy}"
            return
        if 0 < self.witnessed < self.entries:
            yield f"no checkpoint or head from outside covers {_range(self.witnessed + 1, self.entries)}"
        yield f"entries after {self.vouched or self.entries:,}, if others ever existed, would not be missed: {remedy}"

    def _end(self, through: int | None) -> int:
        return self.entries if through is None else through


def _range(first: int, last: int) -> str:
    return f"entry {first:,}" if first == last else f"entries {first:,} to {last:,}"
