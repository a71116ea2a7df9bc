"""Which bytes changed under a version that did not: two manifests of one place, compared file by file. Pure.

MLflow keeps no hash of an artifact, so whoever can write to the store can change a registered model in place, and
nothing in the registry moves. Only the hashes of an earlier reading show it.
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
    """One file whose bytes are not those that an earlier reading found at its place."""

    kind: ChangeKind
    root: Root
    path: str
    former_sha256: str | None
    """Null for a file that was added."""
    sha256: str | None
    """Null for a file that was removed, or of which only the size was seen to have changed."""
    former_size: int | None
    size: int | None

    @property
    def sentence(self) -> str:
        """What happened, for people."""
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
class SeenChange:
    """A change with the time at which it was seen; when it happened lies between that and the reading before."""

    change: ByteChange
    seen_at: datetime


def changes_in_place(former: ArtifactManifest, current: ArtifactManifest) -> tuple[ByteChange, ...]:
    """Return what changed, sorted by root and path.

    A file counts as changed where both readings hashed it, or where one did and the other lists another size. In the
    model's own folder a file that came or went counts, too, if both readings saw all of it; a run's other files may
    grow, since reports are added to runs later on. Manifests of different places have nothing to compare.
    """
    if former.location != current.location:
        return ()
    return tuple(sorted(_changes(former, current), key=lambda change: (change.root, change.path)))


def _changes(former: ArtifactManifest, current: ArtifactManifest) -> Iterator[ByteChange]:
    before = {(file.root, file.path): file for file in former.files}
    after = {(file.root, file.path): file for file in current.files}
    for key, new in after.items():
        old = before.get(key)
        if old and old.sha256 and _differs(old, new):
            yield ByteChange("changed", new.root, new.path, old.sha256, new.sha256, old.size, new.size)
    if "model" not in (*former.not_listed, *current.not_listed):
        for key in _models(after) - before.keys():
            new = after[key]
            yield ByteChange("added", new.root, new.path, None, new.sha256, None, new.size)
        for key in _models(before) - after.keys():
            old = before[key]
            yield ByteChange("removed", old.root, old.path, old.sha256, None, old.size, None)


def _differs(old: ArtifactFile, new: ArtifactFile) -> bool:
    if new.sha256:
        return old.sha256 != new.sha256
    # Else growing a file beyond what may be hashed would be a way to change it unseen.
    return None not in (old.size, new.size) and old.size != new.size


def _models(files: dict[tuple[Root, str], ArtifactFile]) -> set[tuple[Root, str]]:
    return {key for key in files if key[0] == "model"}
