"""Checkpoints for the tests of witnesses."""

from __future__ import annotations

from verifywise_mlflow.audit.chain import ChainLink
from verifywise_mlflow.witnesses.stamped_checkpoint import StampedCheckpoint
from verifywise_mlflow_tests.support.audit_chains import make_chain, signed_checkpoint


def stamped(link: ChainLink, token: bytes | None = None) -> StampedCheckpoint:
    """Return a checkpoint that signs an entry, as witnesses get it."""
    return StampedCheckpoint(signed_checkpoint(link).checkpoint, token)


def chain() -> list[ChainLink]:
    """Return a chain of three entries."""
    return make_chain(["first", "second", "third"])
