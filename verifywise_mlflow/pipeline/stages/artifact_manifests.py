"""Stage 4: which files each version has, with their sizes and hashes, and the environment it needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from verifywise_mlflow.artifacts.manifest_builder import TrustedSigners
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.pool import SandboxPool
from verifywise_mlflow.http.adaptive_limit import MAX_LIMIT
from verifywise_mlflow.http.errors import CircuitOpenError, DeadlineExceededError, InvalidSettingsError
from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import manifests
from verifywise_mlflow.persistence.repositories.manifests import PendingManifest
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.artifact_source_resolver import open_stores
from verifywise_mlflow.pipeline.concurrent_reading import ReadingStoppedError, read_versions
from verifywise_mlflow.pipeline.context import Note, NoteKind, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.empty_folders import EmptyFolder, conclude_empty_folders, outage_notes
from verifywise_mlflow.pipeline.manifest_reader import ReadingTools, rehash_before
from verifywise_mlflow.pipeline.manifest_recording import Reading, version_name, write_readings
from verifywise_mlflow.pipeline.pending_scope import advance_watermark, stage_scope
from verifywise_mlflow.tenants.tenant import Tenant


def refresh(context: StageContext) -> Progress:
    """Build the manifests that are due; write those that differ."""
    settings = context.tenant.artifacts
    progress = Progress(is_reconcile=context.is_reconcile_due)
    if not settings.manifests:
        progress.notes.append(
            Note("manifests are switched off for this tenant (artifacts.manifests: false)", NoteKind.INFO)
        )
        return progress
    settings_digest, old = _settings_digest(context.tenant), rehash_before(context)
    retry_failed = progress.is_reconcile or context.options.rehash or bool(context.options.accept_removals)
    with context.begin() as session:
        scope = stage_scope(context, session, settings_digest, is_full=retry_failed)
        if scope.keys is not None and not context.options.is_targeted:
            scope = scope.including(manifests.manifests_to_retry(session))
            scope = scope.including(manifests.manifests_with_old_hashes(session, old))
        due = manifests.pending_manifests(
            session,
            settings_digest=settings_digest,
            rehash_before=old,
            retry_failed=retry_failed,
            among=scope.keys,
        )
    open_sandbox = partial(Sandbox, isolation=settings.sandbox)
    with SandboxPool(open_sandbox) as sandbox, open_stores(context.tenant) as stores:
        if not all(item.is_empty_retry for item in due):
            sandbox.start_parsing_worker()
        _read_all(context, due, ReadingTools(sandbox, stores, _trusted_signers(context)), progress)
        progress.notes += outage_notes(context)
        progress.store_requests = stores.requests

    def still_pending(session: TenantSession, keys: Sequence[Key]) -> Collection[Key]:
        pending = manifests.pending_manifests(
            session, settings_digest=settings_digest, rehash_before=old, retry_failed=False, among=keys
        )
        # What is retried is found in any case.
        return {item.key for item in pending} - manifests.manifests_to_retry(session)

    advance_watermark(context, scope, [item.key for item in due], still_pending)
    progress.sandbox_protections = sandbox.protections
    if sandbox.unblocked_attempts:
        progress.notes.append(
            Note(f"this system does not block in the sandbox: {', '.join(sandbox.unblocked_attempts)}")
        )
    return progress


def _settings_digest(tenant: Tenant) -> str:
    """Return a digest of the settings that change what a manifest holds, the size of a listing among them."""
    return fingerprint([tenant.artifacts.model_dump(mode="json"), tenant.limits.max_response_bytes])


def _trusted_signers(context: StageContext) -> TrustedSigners:
    signers = context.tenant.artifacts.trusted_signers
    keys, authorities = (
        tuple(_read_pem(path, setting) for path in paths)
        for setting, paths in (("public_keys", signers.public_keys), ("authorities", signers.authorities))
    )
    if keys or authorities:
        from verifywise_mlflow.artifacts.model_signing.trust_store import InvalidTrustStoreError, TrustStore

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
    empty: list[EmptyFolder] = []
    threads = min(context.tenant.limits.max_concurrent_requests, int(MAX_LIMIT)) if due else 0
    try:
        for batch in read_versions(context, due, tools, threads=threads):
            readings: list[Reading] = []
            for item in batch:
                if item.result is None or item.result.manifest.is_model_folder_empty:
                    empty.append(EmptyFolder(item.version, item.result))
                else:
                    readings.append(Reading(item.version, item.result))
            write_readings(context, progress, readings)
            done += len(batch)
            context.report_progress(done, len(due))
    except ReadingStoppedError as error:
        # Empty folders are evaluated together: the next sync reads those of a sync that was cut short again.
        _leave_to_next_sync(progress, error.due, len(due) - done + len(empty), error.cause)
        return
    conclude_empty_folders(context, tools, empty, progress)


def _leave_to_next_sync(progress: Progress, first: PendingManifest, remaining: int, error: CircuitOpenError) -> None:
    """Report the versions that were not read. Their stored manifests stay as they are."""
    progress.read_failures.append(ReadFailure("artifacts", version_name(first), str(error)))
    progress.notes.append(Note(f"the artifacts of {remaining} versions are left to the next sync: {error}"))
    progress.incomplete += remaining
    progress.is_cut_short = isinstance(error, DeadlineExceededError)
