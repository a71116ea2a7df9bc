"""Checkpoints: signed statements of how far a tenant's chain had come, and with which hash.

A chain alone shows no truncation, and whoever can write to the database can chain anew what he changed. He cannot sign
it. What is signed is kept as it was signed, like an entry: canonical JSON, ASCII.
"""

from __future__ import annotations

import json
from binascii import unhexlify
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from verifywise_mlflow.audit.chain import Link
from verifywise_mlflow.audit.keys import PublicKey, SigningKey

FORMAT = "verifywise audit checkpoint 1"
"""Stands in each, so that no signature for another purpose can pass for one."""


class NotACheckpointError(ValueError):
    """A text that is no checkpoint of ours, or none that its signer signed. The message says why."""


class UnknownKeyError(NotACheckpointError):
    """A checkpoint names a key that was not given: one of before a change of keys, or anybody's."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A statement with its signature."""

    text: str
    """What was signed, as UTF-8."""
    signature: str
    """Ed25519, 64 bytes in hex."""

    def as_line(self) -> str:
        """Return it as one line of JSON: so it is printed, kept elsewhere and exported."""
        return _canonical({"checkpoint": self.text, "signature": self.signature})

    @classmethod
    def from_line(cls, line: str) -> Checkpoint:
        """Read what ``as_line`` wrote.

        Raises:
            NotACheckpointError: it is something else.
        """
        told = _object(line)
        text, signature = told.get("checkpoint"), told.get("signature")
        if not isinstance(text, str) or not isinstance(signature, str):
            raise NotACheckpointError("it has no checkpoint with a signature")
        return cls(text, signature)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a checkpoint says."""

    tenant_id: str
    sequence: int
    entry_hash: str
    signed_at: str
    key_id: str


def sign(tenant_id: str, head: Link, key: SigningKey, now: datetime) -> Checkpoint:
    """Return the statement that the tenant's chain ends with this link."""
    text = _canonical(
        {
            "format": FORMAT,
            "tenant_id": tenant_id,
            "sequence": head.sequence,
            "entry_hash": head.hash,
            "signed_at": now.astimezone(UTC).isoformat(timespec="seconds"),
            "key_id": key.key_id,
        }
    )
    return Checkpoint(text, key.sign(text.encode()).hex())


def claim_of(checkpoint: Checkpoint) -> Claim:
    """Return what a checkpoint says; its signature is not looked at.

    Raises:
        NotACheckpointError: it says nothing of a chain.
    """
    told = _object(checkpoint.text)
    sequence = told.get("sequence")
    texts = [told.get(name) for name in ("tenant_id", "entry_hash", "signed_at", "key_id")]
    if told.get("format") != FORMAT or not isinstance(sequence, int):
        raise NotACheckpointError("it is not a statement about a chain")
    tenant_id, entry_hash, signed_at, key_id = (text if isinstance(text, str) else "" for text in texts)
    return Claim(tenant_id, sequence, entry_hash, signed_at, key_id)


def signed_claim(checkpoint: Checkpoint, keys: Sequence[PublicKey]) -> Claim:
    """Return what a checkpoint says, if one of the keys has signed it.

    Raises:
        UnknownKeyError: it names a key that is not among them.
        NotACheckpointError: it says nothing of a chain, or the key that it names has not signed it.
    """
    claim = claim_of(checkpoint)
    key = next((key for key in keys if key.key_id == claim.key_id), None)
    if key is None:
        raise UnknownKeyError(
            f"it names the key {claim.key_id or '(none)'}, which is none of those given: "
            "after a change of keys give both"
        )
    try:
        signature = unhexlify(checkpoint.signature)
    except ValueError:
        signature = b""
    if not key.has_signed(signature, checkpoint.text.encode("utf-8", "surrogatepass")):
        raise NotACheckpointError("its signature is not of the key that it names")
    return claim


def _canonical(told: dict[str, str | int]) -> str:
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def _object(text: str) -> dict[str, object]:
    try:
        told: object = json.loads(text)
    except (ValueError, RecursionError):
        raise NotACheckpointError("it is not JSON") from None
    if not isinstance(told, dict):
        raise NotACheckpointError("it is not an object in JSON")
    return told
