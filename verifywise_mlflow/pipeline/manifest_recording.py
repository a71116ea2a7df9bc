"""Writes the manifests that a sync read, with their integrity events and read failures, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from verifywise_mlflow.artifacts.carry_forward import carry_forward
from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.audit.entry import AuditEntry
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import audit_log, integrity, manifests, renamed_versions
from verifywise_mlflow.persistence.repositories.integrity import IntegrityEvent
from verifywise_mlflow.persistence.repositories.manifests import ManifestReadResult, StoredManifest
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.table_statistics import analyze_grown_tables
from verifywise_mlflow.persistence.tables import artifact_manifests
from verifywise_mlflow.pipeline.context import Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.hash_reuse import detect_integrity_events, predates_version
from verifywise_mlflow.pipeline.manifest_reader import LinkedVersion
from verifywise_mlflow.pipeline.outgoing_events import write_outgoing_events
from verifywise_mlflow.pipeline.recording import record_accepted_loss, record_read_failures
from verifywise_mlflow.services.version_events.lifecycle import from_integrity_events


@dataclass(frozen=True, slots=True)
class Reading:
    """A version and the manifest that was read for it."""

    version: LinkedVersion
    result: ManifestReadResult


def write_readings(
    context: StageContext,
    progress: Progress,
    readings: Sequence[Reading],
    *,
    accepted_loss: str | None = None,
) -> None:
    """Write manifests that were read, with their integrity events and read failures.

    Args:
        context: the stage's context.
        progress: the progress to which the readings are added.
        readings: the manifests.
        accepted_loss: the loss of files that a person accepted and that the readings confirm.
    """
    with context.begin() as session:
        stored = renamed_versions.newest_manifests(session, [item.version.due.key for item in readings])
        emptied = renamed_versions.changes_in_place(
            session, [key for key, item in stored.items() if not item.manifest.has_model_files]
        )
        events = [
            event
            for item in readings
            if (key := item.version.due.key) in stored
            for event in detect_integrity_events(
                item.version.due,
                item.version.version,
                item.version.run,
                item.result.manifest,
                stored[key],
                was_emptied=key in emptied,
            )
        ]
        read = [_carry_forward(item, stored.get(item.version.due.key)) for item in readings]
        record_accepted_loss(context, session, accepted_loss)
        integrity.append(session, context.sync_id, events, context.now)
        write_outgoing_events(context, session, from_integrity_events(events))
        changed = manifests.write_manifests(session, read, context.sync_id, context.now)
        progress.read_failures += [
            ReadFailure("artifacts", version_name(item.pending.key), item.manifest.reason or item.manifest.status)
            for item in changed
            if item.manifest.status != "complete"
        ]
        audit_log.append(session, [_integrity_entry(context, event) for event in events])
        record_read_failures(context, session, progress)
        analyze_grown_tables(session, [artifact_manifests])
    progress.integrity_events += events
    progress.read += len(read)
    progress.changed += len(changed)
    progress.incomplete += sum(1 for item in read if item.manifest.status != "complete")


def version_name(key: Key) -> str:
    """Return the name of a version for people."""
    return f"{key[0]} version {key[1]}"


def _carry_forward(reading: Reading, stored: StoredManifest | None) -> ManifestReadResult:
    """Keep the stored data of files that could not be read this time: a failed read deletes nothing."""
    read = reading.result
    if stored is None or predates_version(reading.version.version, stored):
        return read
    manifest = carry_forward(read.manifest, stored.manifest)
    if manifest is read.manifest:
        return read
    carried = _hashed_paths(manifest) - _hashed_paths(read.manifest)
    hashed_at = min(read.hashed_at, stored.hashed_at) if carried else read.hashed_at
    return replace(read, manifest=manifest, fingerprint=fingerprint(manifest), hashed_at=hashed_at)


def _hashed_paths(manifest: ArtifactManifest) -> set[tuple[str, str]]:
    return {(file.root, file.path) for file in manifest.files if file.sha256}


def _integrity_entry(context: StageContext, event: IntegrityEvent) -> AuditEntry:
    return context.make_entry(
        "integrity event",
        "noted",
        object_kind="artifacts",
        object_name=version_name(event.key),
        reason=event.change.sentence,
    )
