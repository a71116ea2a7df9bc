"""Stage 2: the model versions of a tenant, with their stages and aliases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from verifywise_mlflow.artifacts.version_origin import VersionOrigin
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.connector.pagination import CUT_SHORT
from verifywise_mlflow.normalizer.lifecycle_event import LifecycleEvent
from verifywise_mlflow.persistence.repositories import dangling_aliases, registry, tenancy
from verifywise_mlflow.persistence.repositories.registry import ListedObject, ListedVersion
from verifywise_mlflow.persistence.row_mapping import Key, key_problem
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.change_detection import ChangeSet
from verifywise_mlflow.pipeline.context import LISTING_SHARE, Note, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.copy_origins import locate_copies, trace_copies
from verifywise_mlflow.pipeline.lifecycle_events import version_events
from verifywise_mlflow.pipeline.recording import admit_changes, record_events, record_removals
from verifywise_mlflow.pipeline.removal_guard import Loss, confirm_removals


def refresh(context: StageContext) -> Progress:
    """List all versions with their models' aliases; write those that differ, and tombstones for deleted ones."""
    progress = Progress()
    reader = context.reader()

    # So that a slow listing leaves time for what follows.
    with context.deadline.limited_to(LISTING_SHARE):
        listing = reader.model_versions()
    progress.is_cut_short = listing.problems.includes(CUT_SHORT)
    progress.notes += map(Note, listing.problems)
    with context.begin() as session:
        stored_versions = registry.stored_versions(session)
        aliases = registry.aliases_by_version(session)
        copies = trace_copies(session, listing.rows, is_reconcile=context.is_reconcile_due)
    copies = locate_copies(copies, reader.version_location)

    changes: ChangeSet[ListedVersion] = ChangeSet()
    for version in listing.rows:
        key = (version.model_name, version.version_number)
        if problem := key_problem(version.model_name) or key_problem(version.run_id or version.model_name):
            reason = f"its model's name or its run's ID {problem}"
            progress.read_failures.append(ReadFailure("model version", _name(key), reason))
            continue
        if version.problems:
            progress.incomplete += 1
        listed = ListedVersion(version, aliases.get(key, []))
        is_outdated = key in copies.outdated
        changes.add_if_changed(listed, version.created_at, stored_versions.get(key), is_outdated=is_outdated)
    for batch in changes.batches():
        with context.begin() as session:
            _write(context, session, progress, batch, copies.origins)
        context.report_progress(progress.changed, len(changes.changed))

    listed_keys = {(version.model_name, version.version_number) for version in listing.rows}
    living = [key for key, version in stored_versions.items() if not version.is_deleted]
    missing = [key for key in living if key not in listed_keys]
    removal = confirm_removals(
        missing,
        losses=[Loss("model versions", len(missing), len(living))],
        listing_is_complete=listing.is_complete,
        is_accepted=bool(context.options.accept_removals),
        read_object=lambda key: reader.model_version(*key),
    )
    record_removals(
        context, progress, removal, lambda session, keys: registry.mark_versions_deleted(session, keys, context.now)
    )
    progress.is_reconcile = listing.is_complete
    with context.begin() as session:
        dangling_aliases.renew_models(session, {key[0] for key in removal.deleted if key in aliases})
        if listing.is_complete:
            unknown = {key[0] for key in aliases if key not in listed_keys and key not in stored_versions}
            dangling_aliases.renew_models(session, unknown, changed_since=context.last_reconciled_at)
            tenancy.set_poll_watermark(session, _newest_timestamp(listing.rows), context.now)
    progress.read_failures += [ReadFailure("model version", _name(key), reason) for key, reason in removal.unconfirmed]
    progress.read = len(listing.rows)
    progress.incomplete += len(progress.read_failures)
    return progress


def _write(
    context: StageContext,
    session: TenantSession,
    progress: Progress,
    batch: Sequence[ListedObject[ListedVersion]],
    copy_origins: Mapping[Key, VersionOrigin],
) -> None:
    previous = registry.versions_by_key(session, [_key(change) for change in batch if change.stored])
    is_plain_mlflow = context.tenant.server.kind == "mlflow"

    def events_of(change: ListedObject[ListedVersion]) -> Iterator[LifecycleEvent]:
        return version_events(change, previous.get(_key(change)), is_plain_mlflow=is_plain_mlflow)

    admitted = admit_changes(context.history, batch, events_of)
    registry.write_versions(session, admitted, context.now, copy_origins=copy_origins)
    record_events(context, session, progress, (event for change in admitted for event in events_of(change)))
    progress.changed += len(admitted)


def _key(change: ListedObject[ListedVersion]) -> Key:
    return change.entity.version.model_name, change.entity.version.version_number


def _newest_timestamp(versions: Sequence[ModelVersion]) -> int | None:
    """Return the newest update time of all versions in milliseconds. The change poll compares it with the server's."""
    newest = max((version.last_updated_at for version in versions if version.last_updated_at), default=None)
    return None if newest is None else round(newest.timestamp() * 1000)


def _name(key: tuple[str, int]) -> str:
    return f"{key[0][:200]} version {key[1]}"
