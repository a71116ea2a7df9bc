"""Treats the model folders that list no files, after all folders of the sync have been read.

``store_outage_guard`` decides whether such a folder has lost its files. This module collects the evidence and acts on
the decision. A version that is held back keeps its stored manifest, so no record, verdict or badge follows from an
outage.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from verifywise_mlflow.artifacts.manifest import ArtifactManifest, ManifestGap
from verifywise_mlflow.artifacts.store_root import store_root
from verifywise_mlflow.artifacts.uris import parse_uri
from verifywise_mlflow.http.errors import CircuitOpenError, HttpError
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_BATCH
from verifywise_mlflow.persistence.repositories import manifests
from verifywise_mlflow.persistence.repositories.held_back_manifests import (
    ReadableFolder,
    hold_back,
    readable_folders,
)
from verifywise_mlflow.persistence.repositories.manifests import ManifestReadResult, StoredManifest
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.pipeline.concurrent_reading import ReadingStoppedError
from verifywise_mlflow.pipeline.context import Progress, StageContext
from verifywise_mlflow.pipeline.hash_reuse import predates_version
from verifywise_mlflow.pipeline.manifest_reader import (
    LinkedVersion,
    ManifestReader,
    ReadingTools,
    link_version,
)
from verifywise_mlflow.pipeline.manifest_recording import Reading, write_readings
from verifywise_mlflow.pipeline.removal_guard import Loss
from verifywise_mlflow.pipeline.store_outage_guard import (
    STORE_LOOKS_UNAVAILABLE,
    FolderHistory,
    StoreReading,
    decide_outage,
)


@dataclass(frozen=True, slots=True)
class EmptyFolder:
    """A version whose model folder lists no files in this sync."""

    version: LinkedVersion
    result: ManifestReadResult | None = None
    """None if only the folder was listed, because it had no files before."""


@dataclass(frozen=True, slots=True)
class _EvaluatedFolder:
    """An empty folder with its stored state and history."""

    empty: EmptyFolder
    stored: StoredManifest | None
    store_root: str
    location: str
    history: FolderHistory
    is_accepted: bool
    """Whether a person accepts the loss that an earlier sync has held back."""

    @property
    def key(self) -> Key:
        return self.empty.version.due.key


def conclude_empty_folders(
    context: StageContext, tools: ReadingTools, empty: Sequence[EmptyFolder], progress: Progress
) -> None:
    """Record the folders that are empty, and hold back the folders whose store may be unavailable.

    Raises:
        ReadingStoppedError: no further request can be sent. The folders of earlier stores are recorded.
        UnauthenticatedError: the server refused the credentials.
    """
    if not empty:
        return
    evaluated = sorted(_evaluate(context, tools, empty), key=lambda folder: folder.store_root)
    for root, group in groupby(evaluated, key=lambda folder: folder.store_root):
        _conclude_store(context, tools, root, list(group), progress)


def _evaluate(context: StageContext, tools: ReadingTools, empty: Sequence[EmptyFolder]) -> Iterator[_EvaluatedFolder]:
    with context.begin() as session:
        stored_manifests = manifests.stored_manifests(session, [folder.version.due.key for folder in empty])
    for folder in empty:
        linked = folder.version
        stored = stored_manifests.get(linked.due.key)
        if stored is not None and predates_version(linked.version, stored):
            stored = None
        current = folder.result.manifest if folder.result else stored.manifest if stored else None
        assert current is not None  # only a folder with a stored manifest is listed without being read
        location = current.location or ""
        yield _EvaluatedFolder(
            empty=folder,
            stored=stored,
            store_root=store_root(linked.location, tools.stores.prefix_of(location)),
            location=location,
            history=_history(stored, current),
            is_accepted=bool(context.options.accept_removals and stored and stored.held_back_since),
        )


def _history(stored: StoredManifest | None, current: ArtifactManifest) -> FolderHistory:
    if stored is None or stored.manifest.location != current.location:
        return FolderHistory.NEVER_READ
    if stored.manifest.has_model_files:
        return FolderHistory.HAD_FILES
    return FolderHistory.WAS_EMPTY if stored.manifest.is_model_folder_empty else FolderHistory.NEVER_READ


def _conclude_store(
    context: StageContext, tools: ReadingTools, root: str, folders: Sequence[_EvaluatedFolder], progress: Progress
) -> None:
    """Decide about the empty folders of one store, and record the decision."""
    questioned = [
        folder for folder in folders if folder.history is not FolderHistory.WAS_EMPTY and not folder.is_accepted
    ]
    emptied = {folder.location for folder in questioned if folder.history is FolderHistory.HAD_FILES}
    never_read = {folder.location for folder in questioned if folder.history is FolderHistory.NEVER_READ}
    with context.begin() as session:
        empty_locations = {folder.location for folder in folders}
        readable = [folder for folder in readable_folders(session, root) if folder.location not in empty_locations]
    reading = StoreReading(len(emptied), len(never_read), len(readable))
    canary = _StoreCanary(context, tools, root, readable)
    decision = decide_outage(reading, lambda: canary.confirms_empty(questioned)) if questioned else None
    held = [folder for folder in questioned if decision and decision.holds(folder.history)]
    held_keys = {folder.key for folder in held}
    _hold_back(context, held, progress)
    _record(context, tools, [folder for folder in folders if folder.key not in held_keys], len(readable), progress)


class _StoreCanary:
    """Proves with a few requests that a store is available and that one of its folders has lost its files."""

    def __init__(
        self, context: StageContext, tools: ReadingTools, root: str, readable: Sequence[ReadableFolder]
    ) -> None:
        self._context = context
        self._tools = tools
        self._root = root
        self._readable = readable

    def confirms_empty(self, empty: Sequence[_EvaluatedFolder]) -> bool:
        """Return whether the store lists anything else and no longer serves a file of the folder.

        The first request lists a folder that is known to have files. If there is no such folder, it lists the
        experiment's folder in the server's own store. If this listing is empty, a second request lists the parent of
        the empty folder. The last request is for one file that the folder had: a server that lists nothing may still
        serve the file.
        """
        emptied = next((folder for folder in empty if folder.history is FolderHistory.HAD_FILES), None)
        folder = emptied or empty[0]
        reader = ManifestReader(self._context, self._tools)
        try:
            is_present = self._lists_known_folder() if self._readable else self._lists_own_store()
            if not is_present and not reader.lists_anything_at(folder.empty.version):
                return False
            return emptied is None or not self._serves_known_file(reader, emptied)
        except HttpError:
            return False

    def _serves_known_file(self, reader: ManifestReader, folder: _EvaluatedFolder) -> bool:
        assert folder.stored is not None  # its files are known
        path = next(file.path for file in folder.stored.manifest.files if file.root == "model")
        return reader.serves_file(folder.empty.version, path)

    def _lists_known_folder(self) -> bool:
        known = link_version(self._context, self._readable[0].version)
        return ManifestReader(self._context, self._tools).lists_anything_at(known)

    def _lists_own_store(self) -> bool:
        root = parse_uri(self._root)
        if root.anchor != "mlflow-artifacts:" or not root.segments:
            return False
        return bool(self._context.reader().served_artifacts("/".join(root.segments)))


def _hold_back(context: StageContext, folders: Sequence[_EvaluatedFolder], progress: Progress) -> None:
    """Leave known manifests as they are, and store that a version without a manifest could not be read."""
    known = [folder for folder in folders if folder.history is FolderHistory.HAD_FILES or folder.empty.result is None]
    if known:
        with context.begin() as session:
            hold_back(session, [folder.empty.version.due for folder in known], context.now)
        progress.read += len(known)
        progress.incomplete += len(known)
    known_keys = {folder.key for folder in known}
    first = [folder for folder in folders if folder.key not in known_keys]
    for start in range(0, len(first), ROWS_PER_BATCH):
        batch = first[start : start + ROWS_PER_BATCH]
        readings = [Reading(folder.empty.version, _held_back_result(context, folder)) for folder in batch]
        write_readings(context, progress, readings)


def _held_back_result(context: StageContext, folder: _EvaluatedFolder) -> ManifestReadResult:
    result = folder.empty.result
    assert result is not None  # a folder without a result has a stored manifest, which is held back already
    manifest = replace(
        result.manifest,
        status="partial" if result.manifest.files else "unreachable",
        reason=f"{STORE_LOOKS_UNAVAILABLE}: the server lists no files at {folder.location}, nor in most of the store",
        digest=None,
        not_listed=("model",) if result.manifest.files else ("model", "run"),
        gap=ManifestGap.FAILED,
    )
    since = folder.stored.held_back_since if folder.stored else None
    return replace(result, manifest=manifest, fingerprint=fingerprint(manifest), held_back_since=since or context.now)


def _record(
    context: StageContext,
    tools: ReadingTools,
    folders: Sequence[_EvaluatedFolder],
    readable_count: int,
    progress: Progress,
) -> None:
    """Record the empty folders that are not held back.

    A folder that was only listed is read, unless it was always empty.
    """
    readings: list[Reading] = []
    for folder in folders:
        if folder.empty.result is None and folder.history is FolderHistory.WAS_EMPTY:
            progress.read += 1
            progress.incomplete += 1
            continue
        version = folder.empty.version
        try:
            result = folder.empty.result or ManifestReader(context, tools).read(version)
        except CircuitOpenError as error:
            raise ReadingStoppedError(version.due, error) from error
        readings.append(Reading(version, result))
    accepted = {
        folder.location for folder in folders if folder.is_accepted and folder.history is FolderHistory.HAD_FILES
    }
    loss = Loss("model folders", len(accepted), len(accepted) + readable_count).description if accepted else None
    for start in range(0, len(readings), ROWS_PER_BATCH):
        batch = readings[start : start + ROWS_PER_BATCH]
        write_readings(context, progress, batch, accepted_loss=loss if start == 0 else None)
