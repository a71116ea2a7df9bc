"""What stays known of a version's files when they cannot be read again: failing to read is not losing. Pure."""

from __future__ import annotations

from dataclasses import replace

from verifywise_mlflow.artifacts.environment.reproducibility import ENVIRONMENT_FILES
from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest

AS_BEFORE = "as an earlier reading found it"


def with_former(current: ArtifactManifest, former: ArtifactManifest) -> ArtifactManifest:
    """Return the manifest with what an earlier one knew, where this one does not.

    Its status and reason are those of the present reading. A hash of the earlier one stands for a file that is listed
    with the same size; else an outage of the store would be all that is needed to change bytes unnoticed.
    """
    if current.status == "complete" or current.status == "none":
        return current
    if not current.files and "model" in current.not_listed:
        return replace(
            former,
            status=current.status,
            reason=current.reason,
            files=tuple(_noted(file) for file in former.files),
            digest=None,
        )
    if former.location != current.location:
        return current
    before = {(file.root, file.path): file for file in former.files}
    unread = {(file.root, file.path) for file in current.files if file.sha256 is None}
    files = {(file.root, file.path): _known(file, before.get((file.root, file.path))) for file in current.files}
    files = {key: _noted(file) for key, file in before.items() if file.root in current.not_listed} | files
    lacks_environment = current.environment is None or any(("model", name) in unread for name in ENVIRONMENT_FILES)
    lacks_model = "model" in current.not_listed or any(root == "model" for root, _ in unread)
    return replace(
        current,
        files=tuple(files[key] for key in sorted(files)),
        environment=former.environment if lacks_environment and former.environment else current.environment,
        signatures=former.signatures if lacks_model else current.signatures,
    )


def _known(file: ArtifactFile, former: ArtifactFile | None) -> ArtifactFile:
    if file.sha256 or former is None or former.sha256 is None or former.size != file.size:
        return file
    note = f"{file.note}; its hash is {AS_BEFORE}" if file.note else AS_BEFORE
    return replace(file, sha256=former.sha256, note=note)


def _noted(file: ArtifactFile) -> ArtifactFile:
    return file if file.note else replace(file, note=AS_BEFORE)
