"""Stage 1: the registered models of a tenant, with their tags and aliases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.connector.models import RegisteredModel
from verifywise_mlflow.connector.pagination import CUT_SHORT
from verifywise_mlflow.normalizer.lifecycle_event import LifecycleEvent
from verifywise_mlflow.persistence.repositories import registry
from verifywise_mlflow.persistence.repositories.change_hints import HintedObject
from verifywise_mlflow.persistence.repositories.registry import ListedObject
from verifywise_mlflow.persistence.row_mapping import key_problem, to_entity
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline import targeted_objects
from verifywise_mlflow.pipeline.change_detection import ChangeSet
from verifywise_mlflow.pipeline.context import LISTING_SHARE, Note, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.lifecycle_events import model_events
from verifywise_mlflow.pipeline.point_reads import read_named
from verifywise_mlflow.pipeline.recording import admit_changes, record_events, record_removals
from verifywise_mlflow.pipeline.removal_guard import Loss, confirm_removals


def refresh(context: StageContext) -> Progress:
    """Read the registered models, or in a targeted sync only the named models, and write what changed."""
    if context.options.only is not None:
        return _refresh_named(context, context.options.only)
    return _refresh_all(context)


def _refresh_all(context: StageContext) -> Progress:
    """List all registered models; write changed models, and tombstones for deleted models.

    Each page is written while the next page is read, so that a listing is never in memory as a whole.
    """
    progress = Progress(is_reconcile=True)
    reader = context.reader()
    with context.begin() as session:
        living = registry.count_living_models(session)

    listing = reader.registered_models()
    listed = listing.listed
    # A slow listing must leave time for the stages that follow.
    with context.deadline.limited_to(LISTING_SHARE):
        for page in listing:
            _write_page(context, progress, page)
    progress.is_complete_listing = listed.is_complete
    progress.is_cut_short = listed.problems.includes(CUT_SHORT)
    progress.notes += map(Note, listed.problems)
    if not listed.keys and context.tenant.auth.kind != "none":
        # MLflow silently omits objects that the account cannot read.
        progress.notes.append(
            Note("the server shows this account no registered model: if it has some, grant READ on registered models")
        )

    with context.begin() as session:
        missing = [name for name in registry.living_models(session) if name not in listed.keys]
    removal = confirm_removals(
        missing,
        losses=_losses(context, missing, living),
        listing_is_complete=listed.is_complete,
        is_accepted=bool(context.options.accept_removals),
        read_object=reader.registered_model,
        ahead=context.tenant.limits.max_concurrent_requests,
    )
    record_removals(
        context, progress, removal, lambda session, names: registry.mark_models_deleted(session, names, context.now)
    )
    progress.read_failures += [ReadFailure("registered model", name, reason) for name, reason in removal.unconfirmed]
    progress.read = len(listed.keys)
    progress.incomplete += len(progress.read_failures)
    return progress


def _refresh_named(context: StageContext, objects: Sequence[HintedObject]) -> Progress:
    """Read the named models and the models of new versions; write the models that differ.

    Models that only a listing can show are not written: a model with the prompt tag, which may hide it, and a model
    that has taken the name of a living model, whose versions must get their tombstones first.
    """
    progress = Progress()
    with context.begin() as session:
        names = targeted_objects.models_to_read(session, objects)
        stored = registry.stored_models(session, names)
    if not names:
        return progress
    reads = read_named(
        names,
        context.reader().registered_model,
        lambda model: model.name,
        context.tenant.limits.max_concurrent_requests,
    )
    shown: list[RegisteredModel] = []
    for model in reads.found.values():
        before = stored.get(model.name)
        if targeted_objects.is_left_to_listing(model.created_at, before, has_prompt_tag=model.hidden_from_search):
            context.left_to_listing.models.add(model.name)
        else:
            shown.append(model)
    _write_page(context, progress, shown)
    reads.report(progress, "registered model", quote)
    return progress


def _write_page(context: StageContext, progress: Progress, page: Sequence[RegisteredModel]) -> None:
    """Write the models of a page that differ from their rows, in batches of one transaction each."""
    storable: list[RegisteredModel] = []
    for model in page:
        if problem := key_problem(model.name):
            reason = f"its name {problem}"
            progress.read_failures.append(ReadFailure("registered model", quote(model.name), reason))
            continue
        if model.problems:
            progress.incomplete += 1
        storable.append(model)
    with context.begin() as session:
        stored_models = registry.stored_models(session, [model.name for model in storable])
    changes: ChangeSet[RegisteredModel] = ChangeSet()
    for model in storable:
        changes.add_if_changed(model, model.created_at, stored_models.get(model.name))
    for batch in changes.batches():
        with context.begin() as session:
            _write(context, session, progress, batch)
    progress.read += len(page)
    context.report_progress(progress.read, progress.read)


def _write(
    context: StageContext, session: TenantSession, progress: Progress, batch: Sequence[ListedObject[RegisteredModel]]
) -> None:
    rows = registry.models_by_name(session, [change.entity.name for change in batch if change.stored])
    previous = {name: to_entity(RegisteredModel, row, name=name) for name, row in rows.items()}

    def events_of(change: ListedObject[RegisteredModel]) -> Iterator[LifecycleEvent]:
        return model_events(change, previous.get(change.entity.name))

    admitted = admit_changes(context.history, batch, events_of)
    registry.write_models(session, admitted, context.now)
    record_events(context, session, progress, (event for change in admitted for event in events_of(change)))
    progress.changed += len(admitted)


def _losses(context: StageContext, missing: Sequence[str], living: int) -> list[Loss]:
    """Return the size of the loss. It includes versions, because a model's versions are deleted with it."""
    if not missing:
        return []
    with context.begin() as session:
        missing_versions = sum(map(len, registry.living_version_numbers(session, missing).values()))
        living_versions = registry.count_living_versions(session)
    return [Loss("registered models", len(missing), living), Loss("model versions", missing_versions, living_versions)]
