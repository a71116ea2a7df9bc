"""Stage 2: the model versions of a tenant, with their stages and aliases."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from verifywise_mlflow.artifacts.version_origin import MAX_COPY_HOPS, VersionOrigin, names_version
from verifywise_mlflow.connector.models import ModelVersion
from verifywise_mlflow.connector.pagination import CUT_SHORT
from verifywise_mlflow.connector.registry_search import version_key
from verifywise_mlflow.normalizer.lifecycle_event import LifecycleEvent
from verifywise_mlflow.persistence.repositories import dangling_aliases, registry, tenancy
from verifywise_mlflow.persistence.repositories import prompts as prompt_rows
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject
from verifywise_mlflow.persistence.repositories.registry import ListedObject, ListedVersion
from verifywise_mlflow.persistence.row_mapping import Key, key_problem
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline import prompts, targeted_objects
from verifywise_mlflow.pipeline.change_detection import ChangeSet
from verifywise_mlflow.pipeline.context import LISTING_SHARE, Note, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.copy_origins import TracedCopies, locate_copies, trace_copies
from verifywise_mlflow.pipeline.lifecycle_events import version_events
from verifywise_mlflow.pipeline.point_reads import MAX_POINT_READS, PointReads, read_named
from verifywise_mlflow.pipeline.recording import admit_changes, record_events, record_removals
from verifywise_mlflow.pipeline.removal_guard import Loss, confirm_removals


def refresh(context: StageContext) -> Progress:
    """Read the versions, or in a targeted sync only the named versions, and write what changed."""
    if context.options.only is not None:
        return _refresh_named(context, context.options.only)
    return _refresh_all(context)


def _refresh_all(context: StageContext) -> Progress:
    """List all versions with their models' aliases; write changed versions, and tombstones for deleted versions.

    Each page is written while the next page is read, so that a listing is never in memory as a whole.
    """
    progress = Progress()
    reader = context.reader()
    with context.begin() as session:
        aliases = registry.aliases_by_version(session)
        known_prompts = prompt_rows.known_prompts(session)

    listing = context.model_versions()
    listed = listing.listed
    newest: datetime | None = None
    deferred: dict[Key, ModelVersion] = {}
    # A slow listing must leave time for the stages that follow.
    with context.deadline.limited_to(LISTING_SHARE):
        for page in listing:
            newest = max(filter(None, (newest, *(version.last_updated_at for version in page))), default=None)
            with context.begin() as session:
                copies = trace_copies(session, page, is_reconcile=context.is_reconcile_due)
            # The original of a copy may be on a later page.
            known, unknown = copies.split(page)
            for version in known:
                deferred.pop(version_key(version), None)  # a row that changed while the listing was read
            deferred |= {version_key(version): version for version in unknown}
            _write_page(context, progress, known, aliases, copies)
    if deferred:
        with context.begin() as session:
            copies = trace_copies(session, list(deferred.values()), is_reconcile=context.is_reconcile_due)
        copies = locate_copies(copies, reader.version_location, context.tenant.limits.max_concurrent_requests)
        _write_page(context, progress, list(deferred.values()), aliases, copies)
    progress.is_cut_short = listed.problems.includes(CUT_SHORT)
    progress.notes += map(Note, listed.problems)

    with context.begin() as session:
        missing, living = _missing(context, session, progress, listed.keys)
    removal = confirm_removals(
        missing,
        losses=[Loss("model versions", len(missing), living)],
        listing_is_complete=listed.is_complete,
        is_accepted=bool(context.options.accept_removals),
        read_object=lambda key: reader.model_version(*key),
        ahead=context.tenant.limits.max_concurrent_requests,
    )
    record_removals(
        context, progress, removal, lambda session, keys: registry.mark_versions_deleted(session, keys, context.now)
    )
    progress.is_reconcile = progress.is_complete_listing = listed.is_complete
    with context.begin() as session:
        dangling_aliases.renew_models(session, {key[0] for key in removal.deleted if key in aliases})
        if listed.is_complete:
            unlisted = aliases.keys() - listed.keys.keys()
            dangling = {key[0] for key in unlisted - registry.stored_versions(session, unlisted).keys()}
            dangling_aliases.renew_models(session, dangling, changed_since=context.last_reconciled_at)
            tenancy.set_poll_watermark(session, _milliseconds(newest), context.now)
    progress.read_failures += [ReadFailure("model version", _name(key), reason) for key, reason in removal.unconfirmed]
    progress.read = len(listed.keys)
    prompts.refresh(context, progress, known_prompts)
    progress.incomplete += len(progress.read_failures)
    return progress


def _refresh_named(context: StageContext, objects: Sequence[HintedObject]) -> Progress:
    """Read the named versions, and versions whose aliases differ from their models' aliases; write what changed.

    Versions that only a listing can show are not written.
    """
    progress = Progress()
    if named := [(item.name, item.version_number) for item in objects if item.kind == "prompt"]:
        prompts.refresh_named(context, progress, named)
    left = context.left_to_listing
    with context.begin() as session:
        due = [key for key in targeted_objects.versions_to_read(session, objects) if key[0] not in left.models]
    if not due:
        return progress
    reads = _read_with_originals(context, due)
    reads.report(progress, "model version", _name)
    if progress.is_cut_short:
        return progress  # without its original, a copy cannot be traced
    with context.begin() as session:
        shown, only_listed = targeted_objects.as_listed(session, reads.found, reads.failed.keys(), left.models)
        aliases = registry.aliases_by_version(session, {version.model_name for version in shown})
        copies = trace_copies(session, shown, is_reconcile=False)
    left.versions |= only_listed
    copies = locate_copies(copies, context.reader().version_location, context.tenant.limits.max_concurrent_requests)
    _write_page(context, progress, shown, aliases, copies)
    return progress


def _read_with_originals(context: StageContext, due: Sequence[Key]) -> PointReads[Key, ModelVersion]:
    """Read versions, and the originals of new copies, up to an original that is not a new copy."""
    reader, ahead = context.reader(), context.tenant.limits.max_concurrent_requests
    reads: PointReads[Key, ModelVersion] = PointReads()
    requested: set[Key] = set()
    for _ in range(MAX_COPY_HOPS + 1):
        remaining = MAX_POINT_READS - len(requested)
        context.left_to_listing.versions.update(due[remaining:])
        due = due[:remaining]
        if not due or reads.error:
            break
        requested.update(due)
        read = read_named(due, lambda key: reader.model_version(*key), version_key, ahead)
        reads.add(read)
        copies = [version for version in read.found.values() if names_version(version.source)]
        if not copies:
            break
        with context.begin() as session:
            originals = targeted_objects.originals_of_new(session, copies)
        due = sorted(originals - requested)
    return reads


def _write_page(
    context: StageContext,
    progress: Progress,
    page: Sequence[ModelVersion],
    aliases: Mapping[Key, Sequence[str]],
    copies: TracedCopies,
) -> None:
    """Write the versions of a page that differ from their rows, in batches of one transaction each."""
    storable: list[ModelVersion] = []
    for version in page:
        if problem := key_problem(version.model_name) or key_problem(version.run_id or version.model_name):
            reason = f"its model's name or its run's ID {problem}"
            progress.read_failures.append(ReadFailure("model version", _name(version_key(version)), reason))
            continue
        if version.problems:
            progress.incomplete += 1
        storable.append(version)
    with context.begin() as session:
        stored_versions = registry.stored_versions(session, list(map(version_key, storable)))
    changes: ChangeSet[ListedVersion] = ChangeSet()
    for version in storable:
        key = version_key(version)
        changes.add_if_changed(
            ListedVersion(version, aliases.get(key, [])),
            version.created_at,
            stored_versions.get(key),
            is_outdated=key in copies.outdated,
        )
    for batch in changes.batches():
        with context.begin() as session:
            _write(context, session, progress, batch, copies.origins)
    progress.read += len(page)
    context.report_progress(progress.read, progress.read)


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
    progress.added += sum(1 for change in admitted if change.stored is None or change.stored.is_deleted)


def _missing(
    context: StageContext, session: TenantSession, progress: Progress, listed: Collection[Key]
) -> tuple[list[Key], int]:
    """Return the living versions that are not listed, and how many versions lived before this stage."""
    living = registry.count_living_versions(session)
    before = living - progress.added
    is_all_stored = not (progress.read_failures or context.history.held_back)
    if is_all_stored and living == len(listed):
        return [], before  # as in most syncs: the keys of a large tenant need not be read
    return [key for key in registry.living_versions(session) if key not in listed], before


def _key(change: ListedObject[ListedVersion]) -> Key:
    return version_key(change.entity.version)


def _milliseconds(newest: datetime | None) -> int | None:
    """Return the newest update time of all versions in MLflow's unit. The change poll compares it with the server's."""
    return None if newest is None else round(newest.timestamp() * 1000)


def _name(key: tuple[str, int]) -> str:
    return f"{key[0][:200]} version {key[1]}"
