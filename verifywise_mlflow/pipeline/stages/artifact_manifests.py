"""Stage 4: which files each version has, with their sizes and hashes, and the environment it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from verifywise_mlflow.artifacts.carry_forward import carry_forward
from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.artifacts.manifest_builder import TrustedSigners
from verifywise_mlflow.artifacts.model_signing.trust_store import InvalidTrustStoreError, TrustStore
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.limits import SandboxLimits
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.http.errors import CircuitOpenError, InvalidSettingsError
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import audit_log, integrity, manifests
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.persistence.repositories.manifests import ManifestReadResult, PendingManifest, StoredManifest
from verifywise_mlflow.pipeline.artifact_source_resolver import open_stores
from verifywise_mlflow.pipeline.context import Note, NoteKind, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.hash_reuse import detect_integrity_events, predates_version
from verifywise_mlflow.pipeline.manifest_reader import (
    LinkedVersion,
    ManifestReader,
    ReadingTools,
    link_version,
    rehash_before,
)
from verifywise_mlflow.pipeline.recording import record_read_failures

VERSIONS_PER_TRANSACTION = 20
"""Few, because a manifest may have cost reading gigabytes, and a killed sync loses its open transaction."""


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
        due = manifests.pending_manifests(
            session,
            settings_digest=fingerprint(settings.model_dump(mode="json")),
            rehash_before=rehash_before(context),
            retry_failed=progress.is_reconcile,
        )
    limits = SandboxLimits(max_file_bytes=settings.max_file_bytes)
    with Sandbox(limits) as sandbox, open_stores(context.tenant) as stores:
        _read_all(context, due, ReadingTools(sandbox, stores, _trusted_signers(context)), progress)
        progress.store_requests = stores.requests
    progress.sandbox_protections = sandbox.protections
    if sandbox.unblocked_attempts:
        progress.notes.append(
            Note(f"this system does not block in the sandbox: {', '.join(sandbox.unblocked_attempts)}")
        )
    return progress


def _trusted_signers(context: StageContext) -> TrustedSigners:
    signers = context.tenant.artifacts.trusted_signers
    keys, authorities = (
        tuple(_read_pem(path, setting) for path in paths)
        for setting, paths in (("public_keys", signers.public_keys), ("authorities", signers.authorities))
    )
    if keys or authorities:
        try:
            # Parsed here only for a clear error message; signatures are verified in the sandbox.
            TrustStore.from_pem([key.encode() for key in keys], [authority.encode() for authority in authorities])
        except InvalidTrustStoreError as error:
            raise InvalidSettingsError(f"artifacts.trusted_signers: {error}") from None
    return TrustedSigners(keys, authorities, context.now.timestamp())


def _read_pem(path: Path, setting: str) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a PEM file"
        raise InvalidSettingsError(f"artifacts.trusted_signers.{setting}: {path} cannot be read: {reason}") from None


def _read_all(context: StageContext, due: Sequence[PendingManifest], tools: ReadingTools, progress: Progress) -> None:
    done = 0
    for _, run_versions in groupby(due, key=attrgetter("run_id")):
        reader = ManifestReader(context, tools)
        versions = list(run_versions)
        for start in range(0, len(versions), VERSIONS_PER_TRANSACTION):
            linked = [link_version(context, item) for item in versions[start : start + VERSIONS_PER_TRANSACTION]]
            read: list[ManifestReadResult] = []
            try:
                for item in linked:
                    read.append(reader.read(item))  # noqa: PERF401  # keep what was read before a failure
            except CircuitOpenError as error:
                _write(context, progress, linked[: len(read)], read)
                _leave_to_next_sync(progress, linked[len(read)].due, len(due) - done - len(read), error)
                return
            _write(context, progress, linked, read)
            done += len(read)
            context.report_progress(done, len(due))


def _leave_to_next_sync(progress: Progress, first: PendingManifest, remaining: int, error: CircuitOpenError) -> None:
    """Report the versions that were not read. Their stored manifests stay as they are."""
    progress.read_failures.append(ReadFailure("artifacts", _version_name(first), str(error)))
    progress.notes.append(Note(f"the artifacts of {remaining} versions are left to the next sync: {error}"))
    progress.incomplete += remaining


def _carry_forward(
    read: ManifestReadResult, version: ModelVersion, stored: StoredManifest | None
) -> ManifestReadResult:
    """Keep the stored data of files that could not be read this time: a failed read deletes nothing."""
    if stored is None or predates_version(version, stored):
        return read
    manifest = carry_forward(read.manifest, stored.manifest)
    if manifest is read.manifest:
        return read
    carried = _hashed_paths(manifest) - _hashed_paths(read.manifest)
    hashed_at = min(read.hashed_at, stored.hashed_at) if carried else read.hashed_at
    return replace(read, manifest=manifest, fingerprint=fingerprint(manifest), hashed_at=hashed_at)


def _hashed_paths(manifest: ArtifactManifest) -> set[tuple[str, str]]:
    return {(file.root, file.path) for file in manifest.files if file.sha256}


def _write(
    context: StageContext, progress: Progress, linked: Sequence[LinkedVersion], read: Sequence[ManifestReadResult]
) -> None:
    with context.begin() as session:
        stored = manifests.stored_manifests(session, [item.pending.key for item in read])
        events = [
            event
            for link, item in zip(linked, read, strict=True)
            if item.pending.key in stored
            for event in detect_integrity_events(
                item.pending, link.version, link.run, item.manifest, stored[item.pending.key]
            )
        ]
        read = [
            _carry_forward(item, link.version, stored.get(item.pending.key))
            for link, item in zip(linked, read, strict=True)
        ]
        integrity.append(session, context.sync_id, events, context.now)
        changed = manifests.write_manifests(session, read, context.now)
        progress.read_failures += [
            ReadFailure("artifacts", _version_name(item.pending), item.manifest.reason or item.manifest.status)
            for item in changed
            if item.manifest.status != "complete"
        ]
        audit_log.append(session, [_integrity_entry(context, event) for event in events])
        record_read_failures(context, session, progress)
    progress.integrity_events += events
    progress.read += len(read)
    progress.changed += len(changed)
    progress.incomplete += sum(1 for item in read if item.manifest.status != "complete")


def _integrity_entry(context: StageContext, event: IntegrityEvent) -> AuditEntry:
    return context.make_entry(
        "integrity event",
        "noted",
        object_kind="artifacts",
        object_name=f"{event.key[0]} version {event.key[1]}",
        reason=event.change.sentence,
    )


def _version_name(due: PendingManifest) -> str:
    return f"{due.key[0]} version {due.key[1]}"
