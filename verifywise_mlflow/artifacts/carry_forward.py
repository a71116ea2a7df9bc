"""Carries manifest data of an earlier sync forward if files cannot be read now: a failed read is not a loss. Pure."""

from __future__ import annotations

from dataclasses import replace

from verifywise_mlflow.artifacts.environment.reproducibility import ENVIRONMENT_FILES
from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest, ReadOutcome

CARRIED_FORWARD_NOTE = "carried forward from an earlier sync"


def carry_forward(current: ArtifactManifest, earlier: ArtifactManifest) -> ArtifactManifest:
    """Return ``current``, with the data of ``earlier`` where ``current`` has none.

    Status, reason and gap come from ``current``. A file that is listed with the same size keeps its earlier hash.
    Without this hash, bytes could be changed unnoticed during an outage of the store.
    """
    if current.status == "complete" or current.status == "none":
        return current
    if not current.files and "model" in current.not_listed:
        return replace(
            earlier,
            status=current.status,
            reason=current.reason,
            files=tuple(_carried_over(file) for file in earlier.files),
            digest=None,
            gap=current.gap,
        )
    if earlier.location != current.location:
        return current
    before = {(file.root, file.path): file for file in earlier.files}
    unread = {(file.root, file.path) for file in current.files if file.sha256 is None}
    files = {
        (file.root, file.path): _with_earlier_hash(file, before.get((file.root, file.path))) for file in current.files
    }
    files = {key: _carried_over(file) for key, file in before.items() if file.root in current.not_listed} | files
    lacks_environment = current.environment is None or any(("model", name) in unread for name in ENVIRONMENT_FILES)
    lacks_model = "model" in current.not_listed or any(root == "model" for root, _ in unread)
    return replace(
        current,
        files=tuple(files[key] for key in sorted(files)),
        environment=earlier.environment if lacks_environment and earlier.environment else current.environment,
        signatures=earlier.signatures if lacks_model else current.signatures,
    )


def _with_earlier_hash(file: ArtifactFile, earlier: ArtifactFile | None) -> ArtifactFile:
    if file.sha256 or earlier is None or earlier.sha256 is None or earlier.size != file.size:
        return file
    note = f"{file.note}; its hash is {CARRIED_FORWARD_NOTE}" if file.note else CARRIED_FORWARD_NOTE
    return replace(
        file,
        sha256=earlier.sha256,
        note=note,
        outcome=ReadOutcome.CARRIED_FORWARD,
        store_state=earlier.store_state,  # belongs to the hash, so that a changed object is read next time
    )


def _carried_over(file: ArtifactFile) -> ArtifactFile:
    return replace(file, note=file.note or CARRIED_FORWARD_NOTE, outcome=ReadOutcome.CARRIED_FORWARD)
