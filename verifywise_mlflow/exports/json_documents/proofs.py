"""The JSON documents that ``audit prove`` writes. ``tools/verify_proof.py`` verifies them without this package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from verifywise_mlflow.audit.checkpoint import Checkpoint
from verifywise_mlflow.audit.proof import ConsistencyProof, ProvedState, VersionProof
from verifywise_mlflow.exports.json_documents.document import JsonDocument
from verifywise_mlflow.exports.json_documents.pack import JsonObject, PackedCheckpoint


class _TrailDocument(JsonDocument):
    """A part of the audit trail, and the checkpoints that vouch for it."""

    tenant: str
    """The tenant's name in tenants.yaml."""
    entries: tuple[str, ...]
    """Entries of the audit trail, as the texts that were hashed. Each entry has the hash of the entry before it."""
    checkpoints: tuple[PackedCheckpoint, ...]
    """Checkpoints that sign some of these entries. Nothing vouches for the document unless a checkpoint signs the last
    entry."""


class StateProofDocument(_TrailDocument):
    """What ``audit prove`` writes: the newest states of a version when the first of the entries was written."""

    NAME: ClassVar[str] = "state-proof"

    model_name: str
    """The name of the registered model, as the leaves have it."""
    version_number: int
    """The version's number in MLflow."""
    states: tuple[ProvedState, ...]
    """The newest record, manifest and evaluation, and former evaluations whose verdicts are still in force."""
    models_path: tuple[str, ...]
    """The path from the model's leaf to the root of the newest states of all models. The leaf is JSON with model and
    root."""
    rules: Mapping[str, JsonObject]
    """Rule ID to the parts of the rule that decide the verdict. The verdict's ``input_hash`` follows from these parts.
    A rule is left out if the hash cannot be recomputed."""

    @classmethod
    def of(cls, proof: VersionProof) -> StateProofDocument:
        """Return the document of a proof."""
        return cls(
            tenant=proof.tenant,
            model_name=proof.model_name,
            version_number=proof.version_number,
            states=tuple(proof.states),
            models_path=proof.models_path,
            rules=proof.rules,  # type: ignore[arg-type]  # JSON, which pydantic validates
            entries=proof.entries,
            checkpoints=tuple(map(_packed, proof.checkpoints)),
        )


class ConsistencyProofDocument(_TrailDocument):
    """What ``audit prove --consistency`` writes: a proof that a later trail and log of states extend a former one."""

    NAME: ClassVar[str] = "consistency-proof"

    log_node: str | None
    """The hash of the last full subtree of the log in the first entry that commits the log; null if no entry commits
    it."""
    log_path: tuple[str, ...]
    """The path from ``log_node`` to the root of the log in the last entry. The steps on the left alone lead to the root
    in the first entry."""

    @classmethod
    def of(cls, proof: ConsistencyProof) -> ConsistencyProofDocument:
        """Return the document of a proof."""
        return cls(
            tenant=proof.tenant,
            log_node=proof.growth.node if proof.growth else None,
            log_path=proof.growth.path if proof.growth else (),
            entries=proof.entries,
            checkpoints=tuple(map(_packed, proof.checkpoints)),
        )


def _packed(checkpoint: Checkpoint) -> PackedCheckpoint:
    return PackedCheckpoint(checkpoint.text, checkpoint.signature)
