"""Reads the files of the versions whose manifests are due, and parses them in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from verifywise_mlflow.artifacts.manifest_builder import TrustedSigners
from verifywise_mlflow.artifacts.sandbox.client import Sandbox
from verifywise_mlflow.artifacts.sandbox.pool import SandboxPool
from verifywise_mlflow.http.adaptive_limit import MAX_LIMIT
from verifywise_mlflow.http.errors import CircuitOpenError, DeadlineExceededError, InvalidSettingsError
from verifywise_mlflow.persistence.repositories.manifests import PendingManifest
from verifywise_mlflow.pipeline.artifact_source_resolver import open_stores
from verifywise_mlflow.pipeline.concurrent_reading import ReadingStoppedError, read_versions
from verifywise_mlflow.pipeline.context import Note, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.empty_folders import EmptyFolder, conclude_empty_folders
from verifywise_mlflow.pipeline.manifest_reader import ReadingTools
from verifywise_mlflow.pipeline.manifest_recording import Reading, version_name, write_readings
from verifywise_mlflow.redaction.entity_redactor import EntityRedactor


def read_due(context: StageContext, due: Sequence[PendingManifest], progress: Progress) -> None:
    """Read the versions and write the manifests that differ.

    Args:
        context: The stage's context.
        due: The versions to read. The versions of one run are next to each other.
        progress: The stage's progress, to which the results are added.

    Raises:
        InvalidSettingsError: A trusted signer's file cannot be read.
    """
    open_sandbox = partial(Sandbox, isolation=context.tenant.artifacts.sandbox)
    with SandboxPool(open_sandbox) as sandbox, open_stores(context.tenant) as stores:
        if not all(item.is_empty_retry for item in due):
            sandbox.start_parsing_worker()
        redactor = EntityRedactor(context.tenant.redaction)
        _read_all(context, due, ReadingTools(sandbox, stores, _trusted_signers(context), redactor), progress)
        progress.store_requests = stores.requests
    progress.sandbox_protections = sandbox.protections
    if sandbox.unblocked_attempts:
        progress.notes.append(
            Note(f"this system does not block in the sandbox: {', '.join(sandbox.unblocked_attempts)}")
        )


def _trusted_signers(context: StageContext) -> TrustedSigners:
    signers = context.tenant.artifacts.trusted_signers
    keys, authorities = (
        tuple(_read_pem(path, setting) for path in paths)
        for setting, paths in (("public_keys", signers.public_keys), ("authorities", signers.authorities))
    )
    if keys or authorities:
        from verifywise_mlflow.artifacts.model_signing.trust_store import InvalidTrustStoreError, TrustStore

        try:
            # The signers are parsed here only for a clear error message; signatures are verified in the sandbox.
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
    done, read_before = 0, progress.read
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
        conclude_empty_folders(context, tools, empty, progress)
    except ReadingStoppedError as error:
        # Empty folders are evaluated together, so if this sync is cut short, the next sync reads them again.
        _leave_to_next_sync(progress, error.due, len(due) - (progress.read - read_before), error.cause)


def _leave_to_next_sync(progress: Progress, first: PendingManifest, remaining: int, error: CircuitOpenError) -> None:
    """Report the versions that were not read. Their stored manifests stay as they are."""
    progress.read_failures.append(ReadFailure("artifacts", version_name(first.key), str(error)))
    progress.notes.append(Note(f"the artifacts of {remaining} versions are left to the next sync: {error}"))
    progress.incomplete += remaining
    progress.is_cut_short = isinstance(error, DeadlineExceededError)
