"""Reads a version's files and builds its artifact manifest: finds the files, opens their sources and reuses hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from verifywise_mlflow.artifacts.caching_source import CachingSource
from verifywise_mlflow.artifacts.hashing import EarlierHash
from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.location import (
    LoggedModelFiles,
    ModelLocation,
    NoFiles,
    RunFiles,
    StoredFiles,
    UnreachableFiles,
    is_allowed_location,
    locate_files,
    path_in_root,
)
from verifywise_mlflow.artifacts.manifest_builder import TrustedSigners, build_manifest
from verifywise_mlflow.artifacts.map_in_order import MapInOrder, one_by_one
from verifywise_mlflow.artifacts.sandbox.pool import AnySandbox
from verifywise_mlflow.artifacts.source import ArtifactReadError
from verifywise_mlflow.artifacts.stores.resolver import ArtifactStores, DirectSource
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, TrainingRun
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import manifests, registry, tracked_objects
from verifywise_mlflow.persistence.repositories.manifests import (
    ManifestReadResult,
    PendingManifest,
    StoredManifest,
)
from verifywise_mlflow.persistence.repositories.tracked_objects import LOGGED_MODELS, RUNS
from verifywise_mlflow.persistence.row_mapping import to_entity
from verifywise_mlflow.pipeline.artifact_source_resolver import model_source, resolve_location, run_source
from verifywise_mlflow.pipeline.context import StageContext
from verifywise_mlflow.pipeline.hash_age import rehash_before
from verifywise_mlflow.pipeline.hash_reuse import earlier_hashes, is_settled
from verifywise_mlflow.pipeline.served_route import RouteChoice
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor

E = TypeVar("E", TrainingRun, LoggedModel)


@dataclass(frozen=True, slots=True)
class ReadingTools:
    """The resources for reading files, open for the duration of the stage."""

    sandbox: AnySandbox
    stores: ArtifactStores
    trusted_signers: TrustedSigners
    redactor: EntityRedactor
    """One redactor for all versions. The names of files repeat, and each name is scanned only once."""
    routes: RouteChoice = field(default_factory=RouteChoice)
    map_in_order: MapInOrder = one_by_one
    """Reads the files of one version."""


@dataclass(frozen=True, slots=True)
class LinkedVersion:
    """A version whose manifest is due, with its run, its logged model and the location of its files."""

    due: PendingManifest
    version: ModelVersion
    run: TrainingRun | None
    logged_model: LoggedModel | None
    location: ModelLocation
    earlier: StoredManifest | None
    """The newest manifest of the same location, whose hashes may still be valid."""


def link_versions(context: StageContext, due: Sequence[PendingManifest]) -> list[LinkedVersion]:
    """Return each version with the stored objects that show where the version's files are."""
    with context.begin() as session:
        versions = registry.versions_with_origin(session, [item.key for item in due])
        runs = tracked_objects.rows_by_id(session, RUNS, [item.run_id for item in due if item.run_id])
        models = tracked_objects.rows_by_id(
            session, LOGGED_MODELS, [item.logged_model_id for item in due if item.logged_model_id]
        )
        linked: list[LinkedVersion] = []
        for item in due:
            version, origin = versions[item.key]  # the version was due a moment ago, and no sync deletes rows
            run = _readable_entity(TrainingRun, runs, item.run_id)
            model = _readable_entity(LoggedModel, models, item.logged_model_id)
            linked.append(LinkedVersion(item, version, run, model, locate_files(origin, run, model), None))
        uris = {uri for item in linked if (uri := _uri(item.location))}
        earlier = manifests.newest_at_locations(session, uris, since=rehash_before(context).production)
    return [replace(item, earlier=earlier.get(_uri(item.location) or "")) for item in linked]


def _uri(location: ModelLocation) -> str | None:
    return None if isinstance(location, NoFiles) else location.uri


def link_version(context: StageContext, due: PendingManifest) -> LinkedVersion:
    """Return a version with the stored objects that show where the version's files are."""
    return link_versions(context, [due])[0]


def _readable_entity(kind: type[E], rows: Mapping[str, Mapping[str, object]], identifier: str | None) -> E | None:
    row = rows.get(identifier) if identifier else None
    return to_entity(kind, row) if row and row["read_error"] is None else None


class FolderListing(StrEnum):
    """What a listing of a model's folder shows, without reading its files."""

    EMPTY = "empty"
    HAS_ENTRIES = "has entries"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class _Root:
    """A root of files: its source, and the same source with a cache in front."""

    cached: CachingSource
    source: DirectSource


@dataclass(frozen=True, slots=True)
class _Roots:
    """The root of the model's files, and the root of its run's files."""

    model: _Root | None
    run: _Root | None


class ManifestReader:
    """Reads the manifests of the versions of one run. The roots that these versions share are listed and hashed once.

    Threads may share an instance.
    """

    def __init__(self, context: StageContext, tools: ReadingTools) -> None:
        self._context = context
        self._tools = tools
        self._roots: dict[str, _Root] = {}

    def read(self, linked: LinkedVersion) -> ManifestReadResult:
        """Read the files of a version and build its manifest.

        Raises:
            CircuitOpenError: the server stopped responding.
            UnauthenticatedError: the server refused the credentials.
        """
        settings = self._context.tenant.artifacts
        location = self._readable_location(linked)
        roots = self._open_roots(linked, location)
        reusable = self._reusable_hashes(linked, location, roots)
        for cached, hashes in reusable:
            cached.reuse_hashes(hashes)
        built = build_manifest(
            location,
            roots.model.cached if roots.model else None,
            roots.run.cached if roots.run else None,
            model_path=path_in_root(location),
            limits=ManifestLimits(
                max_files=settings.max_files,
                max_depth=settings.max_depth,
                max_file_bytes=settings.max_file_bytes,
                max_total_bytes=settings.max_version_bytes,
                timeout_s=settings.max_version_seconds,
            ),
            hash_files=settings.hash,
            sandbox=self._tools.sandbox,
            patterns=settings.kinds,
            trusted=self._tools.trusted_signers,
            map_in_order=self._tools.map_in_order,
        )
        manifest = self._tools.redactor.redact(built)
        has_reused = any(cached.has_reused_any(hashes) for cached, hashes in reusable)
        return ManifestReadResult(
            pending=linked.due,
            manifest=manifest,
            fingerprint=fingerprint(manifest),
            retry=any(root.source.has_retryable_failure for root in (roots.model, roots.run) if root),
            hashed_at=linked.earlier.hashed_at if linked.earlier and has_reused else self._context.now,
        )

    def list_folder(self, linked: LinkedVersion) -> FolderListing:
        """Return whether a model's folder has entries. Its parent folder, if there is one, is listed first.

        Raises:
            CircuitOpenError: the server stopped responding.
            UnauthenticatedError: the server refused the credentials.
        """
        location = self._readable_location(linked)
        root = self._open_roots(linked, location).model
        if root is None:
            return FolderListing.UNREADABLE
        path = path_in_root(location)
        try:
            if path:
                siblings = root.cached.list_directory(path.rpartition("/")[0])
                entry = next((entry for entry in siblings if entry.path == path), None)
                if entry is None or not entry.is_directory:
                    return FolderListing.HAS_ENTRIES if entry else FolderListing.EMPTY
            return FolderListing.HAS_ENTRIES if root.cached.list_directory(path) else FolderListing.EMPTY
        except ArtifactReadError:
            return FolderListing.UNREADABLE

    def lists_anything_at(self, linked: LinkedVersion) -> bool:
        """List a model's folder, or its parent folder if there is one; return whether it has entries. One request."""
        location = self._readable_location(linked)
        root = self._open_roots(linked, location).model
        path = path_in_root(location)
        try:
            return bool(root and root.cached.list_directory(path.rpartition("/")[0]))
        except ArtifactReadError:
            return False

    def serves_file(self, linked: LinkedVersion, path: str) -> bool:
        """Return whether the first byte of a file in a model's folder can be read: one request."""
        location = self._readable_location(linked)
        root = self._open_roots(linked, location).model
        folder = path_in_root(location)
        if root is None:
            return False
        try:
            with root.source.read(f"{folder}/{path}" if folder else path, 1) as chunks:
                next(iter(chunks), b"")
        except ArtifactReadError:
            return False
        return True

    def _readable_location(self, linked: LinkedVersion) -> ModelLocation:
        """Return where the tenant's settings allow us to read a version's files."""
        location, allowed = linked.location, self._context.tenant.artifacts.allowed_locations
        if isinstance(location, LoggedModelFiles | RunFiles) and not is_allowed_location(location.uri, allowed):
            location = UnreachableFiles(location.uri, f"{location.uri} is not among the tenant's allowed_locations")
        return resolve_location(location, self._tools.stores)

    def _open_roots(self, linked: LinkedVersion, location: ModelLocation) -> _Roots:
        reader, stores, routes = self._context.reader(), self._tools.stores, self._tools.routes
        run_root = None
        if (run := linked.run) and not isinstance(location, UnreachableFiles):
            is_model = isinstance(location, RunFiles) and not location.path
            opened = run_source(reader, run.run_id, run.artifact_uri, stores, routes, may_be_empty=not is_model)
            run_root = self._open_root(run.run_id, opened)
        source = model_source(location, reader, stores, routes)
        if source is None:
            return _Roots(None, run_root)
        match location:
            case LoggedModelFiles(model_id=name) | RunFiles(run_id=name) | StoredFiles(uri=name):
                return _Roots(self._open_root(name, source), run_root)
            case _:
                return _Roots(None, run_root)

    def _open_root(self, name: str, source: DirectSource) -> _Root:
        return self._roots.setdefault(name, _Root(CachingSource(source), source))

    def _reusable_hashes(
        self, linked: LinkedVersion, location: ModelLocation, roots: _Roots
    ) -> list[tuple[CachingSource, Mapping[str, EarlierHash]]]:
        """Return, for each root, the hashes of an earlier read of the same location that may be reused."""
        stored = linked.earlier
        if stored is None:
            return []
        settled = is_settled(location, linked.run, linked.logged_model, stored.read_at)
        reusable = []
        if roots.model:
            of_model = earlier_hashes(location, stored, "model", is_settled=settled)
            reusable.append((roots.model.cached, of_model))
        if roots.run:
            # Reports are added even to runs that have ended: only the store can show that a run's file has not changed.
            reusable.append((roots.run.cached, earlier_hashes(location, stored, "run", is_settled=False)))
        return reusable
