"""Detects bytes that changed under an unchanged version, by comparing two manifests of one location. Pure.

MLflow stores no hash of an artifact. Anyone who can write to the store can change a registered model in place, and
the registry does not show it. Only the hashes of an earlier sync do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from verifywise_mlflow.artifacts.manifest import ArtifactFile, ArtifactManifest, Root

ChangeKind = Literal["changed", "added", "removed"]


@dataclass(frozen=True, slots=True)
class ByteChange:
    """One file whose bytes differ from the bytes that an earlier sync read at the same path."""

    kind: ChangeKind
    root: Root
    path: str
    former_sha256: str | None
    """Null for a file that was added."""
    sha256: str | None
    """None for a file that was removed, and for a file whose size changed but whose hash is unknown."""
    former_size: int | None
    size: int | None

    @property
    def sentence(self) -> str:
        """Describe the change for people."""
        where = f"{self.path!r} of the {self.root}"
        match self.kind:
            case "changed" if self.sha256 is None:
                return f"{where} changed in place: it had sha256 {self.former_sha256}, and has {self.size} bytes now"
            case "changed":
                return f"the bytes of {where} changed in place: sha256 {self.former_sha256} is now {self.sha256}"
            case "added":
                return f"{where} was added after the version was registered: sha256 {self.sha256}"
            case "removed":
                return f"{where} was removed after the version was registered: it had sha256 {self.former_sha256}"


@dataclass(frozen=True, slots=True)
class DetectedChange:
    """A change and the time of its detection. The change happened between the previous read and that time."""

    change: ByteChange
    seen_at: datetime


def changes_in_place(
    earlier: ArtifactManifest, current: ArtifactManifest, *, was_emptied: bool = False
) -> tuple[ByteChange, ...]:
    """Return the changes between two manifests, sorted by root and path.

    A file counts as changed if both syncs hashed it with different results, or if only the earlier sync hashed it and
    the size differs now. In the model's own folder, a file counts as added if the earlier sync listed the folder
    completely, and as removed if both syncs listed the folder completely. A folder without files is not a baseline,
    since its store may have been unavailable. A run's other files may come and go, because reports are added to runs
    later. Manifests of different locations are not compared.

    Args:
        earlier: The manifest of the earlier sync.
        current: The manifest of the current sync.
        was_emptied: Whether the model's folder had files before the earlier sync. Then an empty folder is a baseline.
    """
    if earlier.location != current.location:
        return ()
    is_baseline = "model" not in earlier.not_listed and (earlier.has_model_files or was_emptied)
    changes = _changes(earlier, current, is_baseline=is_baseline)
    return tuple(sorted(changes, key=lambda change: (change.root, change.path)))


def _changes(earlier: ArtifactManifest, current: ArtifactManifest, *, is_baseline: bool) -> Iterator[ByteChange]:
    before = {(file.root, file.path): file for file in earlier.files}
    after = {(file.root, file.path): file for file in current.files}
    for key, new in after.items():
        old = before.get(key)
        if old and old.sha256 and _is_changed(old, new):
            yield ByteChange("changed", new.root, new.path, old.sha256, new.sha256, old.size, new.size)
    if is_baseline:
        for key in _model_keys(after) - before.keys():
            new = after[key]
            yield ByteChange("added", new.root, new.path, None, new.sha256, None, new.size)
    if "model" not in (*earlier.not_listed, *current.not_listed):
        for key in _model_keys(before) - after.keys():
            old = before[key]
            yield ByteChange("removed", old.root, old.path, old.sha256, None, old.size, None)


def _is_changed(old: ArtifactFile, new: ArtifactFile) -> bool:
    if new.sha256:
        return old.sha256 != new.sha256
    # Without this test, a file could be changed unnoticed by growing it past the hash limit.
    return None not in (old.size, new.size) and old.size != new.size


def _model_keys(files: dict[tuple[Root, str], ArtifactFile]) -> set[tuple[Root, str]]:
    return {key for key in files if key[0] == "model"}
