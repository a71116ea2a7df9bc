"""What an earlier reading of the same files is good for: hashes to take over, and changes in place to notice.

Both hang on the place being settled: a logged model that is ready, a run that has ended. Before that, files may come
and change as they please.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from verifywise_mlflow.artifacts.hashing import HashedBytes
from verifywise_mlflow.artifacts.integrity import changes_in_place
from verifywise_mlflow.artifacts.location import LoggedModelFiles, ModelLocation, RunFiles
from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, TrainingRun
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.persistence.repositories.manifests import DueManifest, KeptManifest


def is_settled(
    location: ModelLocation, run: TrainingRun | None, logged_model: LoggedModel | None, since: datetime
) -> bool:
    """Whether nobody was to write at the place any more at that time."""
    match location:
        case LoggedModelFiles():
            return logged_model is not None and logged_model.status == "READY"
        case RunFiles():
            return _has_ended(run, since)
        case _:
            return False


def former_hashes(location: ModelLocation, kept: KeptManifest) -> Mapping[str, HashedBytes]:
    """Return the hashes of a model's files by their paths below the root that they are read from."""
    folder = f"{location.path}/" if isinstance(location, RunFiles) and location.path else ""
    return {
        folder + file.path: HashedBytes(file.size, file.sha256)
        for file in kept.manifest.files
        if file.root == "model" and file.sha256 is not None and file.size is not None
    }


def integrity_events(
    due: DueManifest, version: ModelVersion, run: TrainingRun | None, manifest: ArtifactManifest, kept: KeptManifest
) -> list[IntegrityEvent]:
    """Return which bytes changed under a version since the reading before.

    A version that is not ready yet may still get its files, and so may a run that has not ended. What was read before
    the version was created was another version's of the same name and number.
    """
    if version.status not in (None, "READY") or is_of_another(version, kept):
        return []
    return [
        IntegrityEvent(due.key, due.incarnation, manifest.location, change, kept.hashed_at)
        for change in changes_in_place(kept.manifest, manifest)
        if change.root == "model" or _has_ended(run, kept.hashed_at)
    ]


def is_of_another(version: ModelVersion, kept: KeptManifest) -> bool:
    """Whether it was read before the version was created: of another one of the same name and number."""
    return version.created_at is not None and kept.read_at < version.created_at


def _has_ended(run: TrainingRun | None, by: datetime) -> bool:
    return run is not None and run.ended_at is not None and run.ended_at <= by
