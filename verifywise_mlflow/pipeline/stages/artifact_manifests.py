"""Stage 4: which files each version has, with their sizes and hashes, and the environment it needs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from verifywise_mlflow.normalizer.fingerprint import fingerprint
from verifywise_mlflow.persistence.repositories import manifests
from verifywise_mlflow.persistence.repositories.held_back_manifests import held_back_folders
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.context import Note, NoteKind, Progress, StageContext
from verifywise_mlflow.pipeline.hash_age import rehash_before
from verifywise_mlflow.pipeline.pending_scope import advance_watermark, stage_scope
from verifywise_mlflow.pipeline.store_outage_guard import STORE_LOOKS_UNAVAILABLE
from verifywise_mlflow.tenants.tenant import Tenant, TrustedSigners


def refresh(context: StageContext) -> Progress:
    """Build the manifests that are due, and write the manifests that differ from the stored ones."""
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
    if due or settings.trusted_signers != TrustedSigners():  # an unreadable signer is always reported
        from verifywise_mlflow.pipeline.due_manifests import read_due  # not needed without new files

        read_due(context, due, progress)
    progress.notes += _outage_notes(context)

    def still_pending(session: TenantSession, keys: Sequence[Key]) -> Collection[Key]:
        pending = manifests.pending_manifests(
            session, settings_digest=settings_digest, rehash_before=old, retry_failed=False, among=keys
        )
        # Versions that are retried are found regardless of the watermark.
        return {item.key for item in pending} - manifests.manifests_to_retry(session)

    advance_watermark(context, scope, [item.key for item in due], still_pending)
    return progress


def _settings_digest(tenant: Tenant) -> str:
    """Return a digest of the settings that change the content of a manifest, including the limit of a listing."""
    return fingerprint([tenant.artifacts.model_dump(mode="json"), tenant.limits.max_response_bytes])


def _outage_notes(context: StageContext) -> list[Note]:
    """Return the note on the folders that this sync or an earlier sync has held back."""
    with context.begin() as session:
        folders = held_back_folders(session)
    if folders is None:
        return []
    return [
        Note(
            f"{STORE_LOOKS_UNAVAILABLE}: {folders.held_back:,} of {folders.total:,} model folders list no files since "
            f"{folders.since:%Y-%m-%d %H:%M} UTC, such as {folders.example}. This is held back: no file counts as "
            "removed, and each reconcile lists the folders again. Check the store; if the files were deleted on "
            "purpose, start a sync with --accept-removals"
        )
    ]
