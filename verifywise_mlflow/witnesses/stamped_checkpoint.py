"""A checkpoint in the form that witnesses receive: with a time-stamp token if an authority has stamped it."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.common.canonical_json import canonical_json


@dataclass(frozen=True, slots=True)
class StampedCheckpoint:
    """A checkpoint, and a token that proves when it existed."""

    checkpoint: Checkpoint
    token: bytes | None = None
    """A time-stamp token (RFC 3161) over the checkpoint's line, in DER."""

    @property
    def stamped_line(self) -> bytes:
        """The bytes that an authority stamps: the checkpoint as one line, without a line end."""
        return self.checkpoint.to_json_line().encode("ascii")

    def to_json_line(self) -> str:
        """Return the checkpoint and its token as one line of JSON. Without a token, it is the checkpoint's own line."""
        if self.token is None:
            return self.checkpoint.to_json_line()
        return canonical_json(
            {
                "checkpoint": self.checkpoint.text,
                "signature": self.checkpoint.signature,
                "timestamp_token": b64encode(self.token).decode("ascii"),
            }
        )
