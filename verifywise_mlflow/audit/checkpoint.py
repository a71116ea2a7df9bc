"""Checkpoints: signed statements of the length of a tenant's chain and the hash of its last entry.

A chain alone does not reveal truncation, and an attacker who can write to the database can rebuild the chain after a
change. But the attacker cannot sign the new chain. The text that was signed is stored unchanged, as canonical JSON in
ASCII.

A checkpoint can name the key that replaces the checkpoint's own key, or lost keys that the checkpoint's own key
replaces. Only the checkpoint's text can name keys. The signed entry cannot, since the next checkpoint also signs an
entry that an attacker appended.
"""

from __future__ import annotations

import json
from binascii import unhexlify
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from verifywise_mlflow.audit.chain import ChainLink
from verifywise_mlflow.common.canonical_json import canonical_json

if TYPE_CHECKING:  # imports cryptography, which takes 0.05 s; most syncs sign nothing
    from verifywise_mlflow.audit.keys import PublicKey, Signer

CHECKPOINT_FORMAT = "verifywise audit checkpoint 1"
"""Part of every checkpoint, so that a signature made for another purpose is never accepted as one."""


class InvalidCheckpointError(ValueError):
    """The text is not a checkpoint, or its signature is wrong. The message states the case."""


class UnknownKeyError(InvalidCheckpointError):
    """A checkpoint names an untrusted key: a key that a rotation replaced or introduced, or a stranger's key."""

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"it names the key {key_id or '(none)'}, which was not supplied, and for which no supplied key vouches: "
            "supply the first key of the trail, and each that replaced a lost one"
        )
        self.key_id = key_id


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A statement with its signature."""

    text: str
    """The signed text, as UTF-8."""
    signature: str
    """Ed25519, 64 bytes in hex."""

    @property
    def names_next_key(self) -> bool:
        """Whether the text appears to vouch for another key. Only ``KeyChain.verify`` shows whether it does."""
        return '"next_key":' in self.text

    def to_json_line(self) -> str:
        """Return the checkpoint as one line of JSON, the form in which it is printed, stored elsewhere and exported."""
        return canonical_json({"checkpoint": self.text, "signature": self.signature})

    @classmethod
    def from_json_line(cls, line: str) -> Checkpoint:
        """Parse a line that ``to_json_line`` wrote.

        Raises:
            InvalidCheckpointError: The line is not a JSON object with a text and a signature.
        """
        fields = _parse_object(line)
        text, signature = fields.get("checkpoint"), fields.get("signature")
        if not isinstance(text, str) or not isinstance(signature, str):
            raise InvalidCheckpointError("it has no checkpoint with a signature")
        return cls(text, signature)


@dataclass(frozen=True, slots=True)
class CheckpointClaim:
    """The content of a checkpoint: entry ``sequence`` of the chain has ``entry_hash``."""

    tenant_id: str
    sequence: int
    entry_hash: str
    signed_at: str
    key_id: str
    next_key: str | None = None
    """The public key, in PEM, that signs from here on: the key of this checkpoint vouches for it."""
    replaces: tuple[str, ...] = ()
    """The ids of lost or stolen keys. A checkpoint over a later entry is refused if one of these keys signs it."""


def sign_checkpoint(
    tenant_id: str,
    head: ChainLink,
    key: Signer,
    now: datetime,
    next_key: PublicKey | None = None,
    replaces: Collection[str] = (),
) -> Checkpoint:
    """Sign the statement that the tenant's chain ends with ``head``.

    Optionally, the statement names the key that replaces ``key``, or the ids of lost keys that ``key`` replaces.

    Raises the errors of ``key.sign``.
    """
    fields: dict[str, object] = {
        "format": CHECKPOINT_FORMAT,
        "tenant_id": tenant_id,
        "sequence": head.sequence,
        "entry_hash": head.hash,
        "signed_at": now.astimezone(UTC).isoformat(timespec="seconds"),
        "key_id": key.key_id,
    }
    if next_key is not None:
        fields["next_key"] = next_key.pem()
    if replaces:
        fields["replaces"] = sorted(replaces)
    text = canonical_json(fields)
    return Checkpoint(text, key.sign(text.encode()).hex())


def parse_claim(checkpoint: Checkpoint) -> CheckpointClaim:
    """Return a checkpoint's content without verifying its signature.

    Raises:
        InvalidCheckpointError: The text is not a statement about a chain.
    """
    fields = _parse_object(checkpoint.text)
    sequence = fields.get("sequence")
    texts = [fields.get(name) for name in ("tenant_id", "entry_hash", "signed_at", "key_id")]
    if fields.get("format") != CHECKPOINT_FORMAT or not isinstance(sequence, int):
        raise InvalidCheckpointError("it is not a statement about a chain")
    tenant_id, entry_hash, signed_at, key_id = (text if isinstance(text, str) else "" for text in texts)
    next_key, replaces = fields.get("next_key"), fields.get("replaces")
    return CheckpointClaim(
        tenant_id,
        sequence,
        entry_hash,
        signed_at,
        key_id,
        next_key if isinstance(next_key, str) else None,
        tuple(map(str, replaces)) if isinstance(replaces, list) else (),
    )


def verify_claim(checkpoint: Checkpoint, keys: Sequence[PublicKey]) -> CheckpointClaim:
    """Return a checkpoint's content after verifying its signature with the key that it names.

    Raises:
        UnknownKeyError: The checkpoint names a key that is not among ``keys``.
        InvalidCheckpointError: The text is not a statement about a chain, or the signature is wrong.
    """
    claim = parse_claim(checkpoint)
    key = next((key for key in keys if key.key_id == claim.key_id), None)
    if key is None:
        raise UnknownKeyError(claim.key_id)
    try:
        signature = unhexlify(checkpoint.signature)
    except ValueError:
        signature = b""
    if not key.has_signed(signature, checkpoint.text.encode("utf-8", "surrogatepass")):
        raise InvalidCheckpointError("its signature was not made by the key that it names")
    return claim


def _parse_object(text: str) -> dict[str, object]:
    try:
        document: object = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidCheckpointError("it is not JSON") from None
    if not isinstance(document, dict):
        raise InvalidCheckpointError("it is not an object in JSON")
    return document
