"""Stage 4: which files each version has, with their sizes and hashes, and the environment it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from verifywise_mlflow.artifacts.caching_source import CachingSource
from verifywise_mlflow.artifacts.carry_forward import carry_forward
from verifywise_mlflow.artifacts.limits import ManifestLimits
from verifywise_mlflow.artifacts.location import (
    LoggedModelFiles,
    ModelLocation,
    RunFiles,
    StoredFiles,
    UnreachableFiles,
    is_allowed_location,
    locate_files,
)
from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.artifacts.manifest_builder import TrustedSigners, build_manifest
from verifywise_mlflow.artifacts.model_signing.trust_store import InvalidTrustStoreError, TrustStore
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.limits import SandboxLimits
from verifywise_mlflow.artifacts.stores.resolver import ArtifactStores, DirectSource
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.connector.models import LoggedModel, ModelVersion, TrainingRun
from verifywise_mlflow.connector.reader_protocol import Reader
from verifywise_mlflow.http.errors import CircuitOpenError, InvalidSettingsError
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import audit_log, integrity, manifests, registry, tracked_objects
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.persistence.repositories.manifests import DueManifest, KeptManifest, ReadManifest, RehashBefore
from verifywise_mlflow.persistence.repositories.tracked_objects import LOGGED_MODELS, RUNS
from verifywise_mlflow.persistence.row_mapping import entity
from verifywise_mlflow.pipeline.artifact_source_resolver import model_source, open_stores, resolve_location, run_source
from verifywise_mlflow.pipeline.context import Note, NoteKind, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.hash_reuse import detect_integrity_events, is_settled, predates_version, reusable_hashes
from verifywise_mlflow.pipeline.recording import record_read_failures

VERSIONS_PER_TRANSACTION = 20
"""Manifests of one transaction: each may have cost the reading of gigabytes, so few are lost by a kill."""


def refresh(context: StageContext) -> Progress:
    """Build the manifests that are due; write those that differ."""
    settings = context.tenant.artifacts
    progress = Progress(is_reconcile=context.is_reconcile_due)
    if not settings.manifests:
        progress.notes.append(
            Note("manifests are switched off for this tenant (artifacts.manifests: false)", NoteKind.INFO)
        )
        return progress
    with context.begin() as session:
        due = manifests.due_manifests(
            session,
            settings_digest=fingerprint(settings.model_dump(mode="json")),
            rehash_before=_rehash_before(context),
            retry_failed=progress.is_reconcile,
        )
    limits = SandboxLimits(max_file_bytes=settings.max_file_bytes)
    with Sandbox(limits) as sandbox, open_stores(context.tenant) as stores:
        _build_all(context, due, _Means(sandbox, stores, _trusted(context)), progress)
        progress.store_requests = stores.requests
    progress.sandbox_protections = sandbox.protections
    if sandbox.unblocked_attempts:
        progress.notes.append(
            Note(f"this system does not block in the sandbox: {', '.join(sandbox.unblocked_attempts)}")
        )
    return progress


def _trusted(context: StageContext) -> TrustedSigners:
    signers = context.tenant.artifacts.trusted_signers
    keys, authorities = (
        tuple(_pem(path, field) for path in paths)
        for field, paths in (("public_keys", signers.public_keys), ("authorities", signers.authorities))
    )
    if keys or authorities:
        try:
            # Once here, for the sentence; what is verified with them is verified in the sandbox.
            TrustStore.from_pem([key.encode() for key in keys], [one.encode() for one in authorities])
        except InvalidTrustStoreError as error:
            raise InvalidSettingsError(f"artifacts.trusted_signers: {error}") from None
    return TrustedSigners(keys, authorities, context.now.timestamp())


def _pem(path: Path, field: str) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no PEM file"
        raise InvalidSettingsError(f"artifacts.trusted_signers.{field}: {path} cannot be read: {reason}") from None


def _rehash_before(context: StageContext) -> RehashBefore:
    if context.options.rehash:
        return RehashBefore(context.now, context.now)
    # A tenth of the interval is given, as in is_reconcile_due.
    intervals = context.tenant.intervals
    return RehashBefore(context.now - 0.9 * intervals.rehash, context.now - 0.9 * intervals.rehash_non_production)


@dataclass(frozen=True, slots=True)
class _Means:
    """What files are read with, for as long as the stage lasts."""

    sandbox: Sandbox
    stores: ArtifactStores
    trusted: TrustedSigners


def _build_all(context: StageContext, due: Sequence[DueManifest], means: _Means, progress: Progress) -> None:
    done = 0
    for _, of_one_run in groupby(due, key=attrgetter("run_id")):
        # Versions of one run share its tree: it is listed and hashed once for all of them.
        shared = _SharedTrees(means)
        versions = list(of_one_run)
        for start in range(0, len(versions), VERSIONS_PER_TRANSACTION):
            linked = [_linked(context, item) for item in versions[start : start + VERSIONS_PER_TRANSACTION]]
            read: list[ReadManifest] = []
            try:
                for item in linked:
                    read.append(_read(context, item, shared))  # noqa: PERF401  # what was read before a failure is kept
            except CircuitOpenError as error:
                _write(context, progress, linked[: len(read)], read)
                _leave(progress, linked[len(read)].due, len(due) - done - len(read), error)
                return
            _write(context, progress, linked, read)
            done += len(read)
            context.report_progress(done, len(due))


def _leave(progress: Progress, first: DueManifest, left: int, error: CircuitOpenError) -> None:
    """Say that the rest is for the next sync. What is known of it stays as it is."""
    progress.read_failures.append(ReadFailure("artifacts", _name(first), str(error)))
    progress.notes.append(Note(f"the artifacts of {left} versions are left to the next sync: {error}"))
    progress.incomplete += left


@dataclass(slots=True)
class _SharedTrees:
    means: _Means
    trees: dict[str, _Root] = field(default_factory=dict)

    def of(self, name: str, files: DirectSource) -> _Root:
        return self.trees.setdefault(name, _Root(CachingSource(files, self.means.sandbox), files))


@dataclass(frozen=True, slots=True)
class _Root:
    """A root of files, remembered, and as it is read."""

    tree: CachingSource
    source: DirectSource


@dataclass(frozen=True, slots=True)
class _LinkedVersion:
    """A version that is due, with what belongs to it."""

    due: DueManifest
    version: ModelVersion
    run: TrainingRun | None
    logged_model: LoggedModel | None
    location: ModelLocation


def _linked(context: StageContext, due: DueManifest) -> _LinkedVersion:
    with context.begin() as session:
        version = registry.version_at(session, *due.key)
        assert version is not None  # it was due a moment ago, and no sync deletes rows
        runs = tracked_objects.rows_by_id(session, RUNS, [due.run_id] if due.run_id else [])
        models = tracked_objects.rows_by_id(
            session, LOGGED_MODELS, [due.logged_model_id] if due.logged_model_id else []
        )
        run = next((entity(TrainingRun, row) for row in runs.values() if _is_readable(row)), None)
        model = next((entity(LoggedModel, row) for row in models.values() if _is_readable(row)), None)
        location = locate_files(version, run, model, lambda name, number: registry.version_at(session, name, number))
    return _LinkedVersion(due, version, run, model, location)


def _is_readable(row: Mapping[str, object]) -> bool:
    return row["unreadable"] is None


def _read(context: StageContext, linked: _LinkedVersion, shared: _SharedTrees) -> ReadManifest:
    settings = context.tenant.artifacts
    location = linked.location
    if isinstance(location, LoggedModelFiles | RunFiles) and not is_allowed_location(
        location.uri, settings.allowed_locations
    ):
        location = UnreachableFiles(location.uri, f"{location.uri} is not among the tenant's allowed_locations")
    location = resolve_location(location, shared.means.stores)
    roots = _roots(context.reader(), linked, location, shared)
    hashed_at = _take_over(context, linked, location, roots)
    manifest = build_manifest(
        location,
        roots.model.tree if roots.model else None,
        roots.run.tree if roots.run else None,
        model_path=location.path if isinstance(location, RunFiles | StoredFiles) else "",
        limits=ManifestLimits(
            max_files=settings.max_files,
            max_depth=settings.max_depth,
            max_file_bytes=settings.max_file_bytes,
            max_total_bytes=settings.max_version_bytes,
            timeout_s=settings.max_version_seconds,
        ),
        hash_files=settings.hash,
        sandbox=shared.means.sandbox,
        patterns=settings.kinds,
        trusted=shared.means.trusted,
    )
    return ReadManifest(
        due=linked.due,
        manifest=manifest,
        fingerprint=fingerprint(manifest),
        retry=any(root.source.has_retryable_failure for root in (roots.model, roots.run) if root),
        hashed_at=hashed_at if hashed_at and roots.model and roots.model.tree.has_reused_hashes else context.now,
    )


@dataclass(frozen=True, slots=True)
class _Roots:
    model: _Root | None
    run: _Root | None


def _roots(reader: Reader, linked: _LinkedVersion, location: ModelLocation, shared: _SharedTrees) -> _Roots:
    """Return where the model's files and the run's other files are read from."""
    stores, of_run = shared.means.stores, linked.run
    run = None
    if of_run and not isinstance(location, UnreachableFiles):
        run = shared.of(of_run.run_id, run_source(reader, of_run.run_id, of_run.artifact_uri, stores))
    files = model_source(location, reader, stores)
    if files is None:
        return _Roots(None, run)
    match location:
        case LoggedModelFiles(model_id=name) | RunFiles(run_id=name) | StoredFiles(uri=name):
            return _Roots(shared.of(name, files), run)
        case _:
            return _Roots(None, run)


def _take_over(
    context: StageContext, linked: _LinkedVersion, location: ModelLocation, roots: _Roots
) -> datetime | None:
    """Let hashes that an earlier reading made at the same place stand; return when they were made."""
    if not roots.model or not isinstance(location, LoggedModelFiles | RunFiles):
        return None
    with context.begin() as session:
        kept = manifests.kept_at(session, location.uri, since=_rehash_before(context).production)
    if kept is None or not is_settled(location, linked.run, linked.logged_model, kept.read_at):
        return None
    roots.model.tree.reuse_hashes(reusable_hashes(location, kept))
    return kept.hashed_at


def _with_former(read: ReadManifest, version: ModelVersion, kept: KeptManifest | None) -> ReadManifest:
    """Keep what was known where it could not be read again: failing to read is not losing."""
    if kept is None or predates_version(version, kept):
        return read
    manifest = carry_forward(read.manifest, kept.manifest)
    if manifest is read.manifest:
        return read
    carried = _hashed(manifest) - _hashed(read.manifest)
    hashed_at = min(read.hashed_at, kept.hashed_at) if carried else read.hashed_at
    return replace(read, manifest=manifest, fingerprint=fingerprint(manifest), hashed_at=hashed_at)


def _hashed(manifest: ArtifactManifest) -> set[tuple[str, str]]:
    return {(file.root, file.path) for file in manifest.files if file.sha256}


def _write(
    context: StageContext, progress: Progress, linked: Sequence[_LinkedVersion], read: Sequence[ReadManifest]
) -> None:
    with context.begin() as session:
        former = manifests.kept_by_key(session, [item.due.key for item in read])
        events = [
            event
            for of, item in zip(linked, read, strict=True)
            if item.due.key in former
            for event in detect_integrity_events(item.due, of.version, of.run, item.manifest, former[item.due.key])
        ]
        read = [_with_former(item, of.version, former.get(item.due.key)) for of, item in zip(linked, read, strict=True)]
        integrity.append(session, context.sync_id, events, context.now)
        changed = manifests.write_manifests(session, read, context.now)
        progress.read_failures += [
            ReadFailure("artifacts", _name(item.due), item.manifest.reason or item.manifest.status)
            for item in changed
            if item.manifest.status != "complete"
        ]
        audit_log.append(session, [_entry(context, event) for event in events])
        record_read_failures(context, session, progress)
    progress.integrity_events += events
    progress.read += len(read)
    progress.changed += len(changed)
    progress.incomplete += sum(1 for item in read if item.manifest.status != "complete")


def _entry(context: StageContext, event: IntegrityEvent) -> AuditEntry:
    return context.make_entry(
        "integrity event",
        "noted",
        object_kind="artifacts",
        object_name=f"{event.key[0]} version {event.key[1]}",
        reason=event.change.sentence,
    )


def _name(due: DueManifest) -> str:
    return f"{due.key[0]} version {due.key[1]}"
