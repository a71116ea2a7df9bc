"""Uses an earlier read of the same files: reuses its hashes, and detects files that changed in place.

A hash is reused for a file in a settled location (a logged model that is ready, or a run that has ended), and for an
object whose store shows the same state, such as its ETag. An equal ETag is only the store's statement, so it counts
until the next scheduled rehash, which reads all bytes. Changes in place are detected in settled locations only: in
other locations, files may be added and changed at any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from verifywise_mlflow.artifacts.hashing import EarlierHash, FileHash
from verifywise_mlflow.artifacts.integrity import changes_in_place
from verifywise_mlflow.artifacts.location import LoggedModelFiles, ModelLocation, RunFiles, path_in_root
from verifywise_mlflow.artifacts.manifest import ArtifactManifest, Root
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, TrainingRun
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.persistence.repositories.manifests import PendingManifest, StoredManifest


def is_settled(
    location: ModelLocation, run: TrainingRun | None, logged_model: LoggedModel | None, since: datetime
) -> bool:
    """Return whether nothing was supposed to write to the location after ``since``."""
    match location:
        case LoggedModelFiles():
            return logged_model is not None and logged_model.status == "READY"
        case RunFiles():
            return _has_ended(run, since)
        case _:
            return False


def earlier_hashes(
    location: ModelLocation, stored: StoredManifest, root: Root, *, is_settled: bool
) -> Mapping[str, EarlierHash]:
    """Return the hashes of a root's files that may be reused, by path below the root that they are read from."""
    path = path_in_root(location) if root == "model" else ""
    folder = f"{path}/" if path else ""
    return {
        folder + file.path: EarlierHash(FileHash(file.size, file.sha256), file.store_state, is_settled)
        for file in stored.manifest.files
        if file.root == root
        and file.sha256 is not None
        and file.size is not None
        and (is_settled or file.store_state is not None)
    }


def detect_integrity_events(
    due: PendingManifest,
    version: ModelVersion,
    run: TrainingRun | None,
    manifest: ArtifactManifest,
    stored: StoredManifest,
    *,
    was_emptied: bool,
) -> list[IntegrityEvent]:
    """Return the files whose bytes changed since the previous read, although the version did not change.

    A version that is not ready may still get files, and so may a run that has not ended. A read from before the
    version's creation belongs to another version of the same name and number. ``was_emptied`` is true if integrity
    events of the version are recorded: then a stored manifest without files means that the files were removed.
    """
    if version.status not in (None, "READY") or predates_version(version, stored):
        return []
    return [
        IntegrityEvent(due.key, due.incarnation, manifest.location, change, stored.hashed_at)
        for change in changes_in_place(stored.manifest, manifest, was_emptied=was_emptied)
        if change.root == "model" or _has_ended(run, stored.hashed_at)
    ]


def predates_version(version: ModelVersion, stored: StoredManifest) -> bool:
    """Return whether the manifest is older than the version: it belongs to a former version of this name and number."""
    return version.created_at is not None and stored.read_at < version.created_at


def _has_ended(run: TrainingRun | None, by: datetime) -> bool:
    return run is not None and run.ended_at is not None and run.ended_at <= by
