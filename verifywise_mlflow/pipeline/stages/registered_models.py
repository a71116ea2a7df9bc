"""Stage 1: the registered models of a tenant, with their tags and aliases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from verifywise_mlflow.common.untrusted_text import quote
from verifywise_mlflow.connector.models import RegisteredModel
from verifywise_mlflow.connector.pagination import CUT_SHORT
from verifywise_mlflow.normalizer.lifecycle_event import LifecycleEvent
from verifywise_mlflow.persistence.repositories import registry
from verifywise_mlflow.persistence.repositories.registry import ListedObject
from verifywise_mlflow.persistence.row_mapping import fits_in_key, key_problem, to_entity
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.pipeline.change_detection import ChangeSet
from verifywise_mlflow.pipeline.context import LISTING_SHARE, Note, Progress, ReadFailure, StageContext
from verifywise_mlflow.pipeline.lifecycle_events import model_events
from verifywise_mlflow.pipeline.recording import admit_changes, record_events, record_removals
from verifywise_mlflow.pipeline.removal_guard import Loss, confirm_removals


def refresh(context: StageContext) -> Progress:
    """List all registered models; write those that differ, and tombstones for those that were deleted."""
    progress = Progress(is_reconcile=True)
    reader = context.reader()

    # So that a slow listing leaves time for what follows.
    with context.deadline.limited_to(LISTING_SHARE):
        listing = reader.registered_models()
    progress.is_cut_short = listing.problems.includes(CUT_SHORT)
    progress.notes += map(Note, listing.problems)
    if not listing.rows and context.tenant.auth.kind != "none":
        # MLflow silently omits objects that the account cannot read.
        progress.notes.append(
            Note("the server shows this account no registered model: if it has some, grant READ on registered models")
        )
    models = [model for model in listing.rows if fits_in_key(model.name)]
    for model in listing.rows:
        if problem := key_problem(model.name):
            reason = f"its name {problem}"
            progress.read_failures.append(ReadFailure("registered model", quote(model.name), reason))
        elif model.problems:
            progress.incomplete += 1
    with context.begin() as session:
        stored_models = registry.stored_models(session)

    changes: ChangeSet[RegisteredModel] = ChangeSet()
    for model in models:
        changes.add_if_changed(model, model.created_at, stored_models.get(model.name))
    for batch in changes.batches():
        with context.begin() as session:
            _write(context, session, progress, batch)
        context.report_progress(progress.changed, len(changes.changed))

    listed = {model.name for model in listing.rows}
    living = [name for name, model in stored_models.items() if not model.is_deleted]
    missing = [name for name in living if name not in listed]
    removal = confirm_removals(
        missing,
        losses=_losses(context, missing, len(living)),
        listing_is_complete=listing.is_complete,
        is_accepted=bool(context.options.accept_removals),
        read_object=reader.registered_model,
    )
    record_removals(
        context, progress, removal, lambda session, names: registry.mark_models_deleted(session, names, context.now)
    )
    progress.read_failures += [ReadFailure("registered model", name, reason) for name, reason in removal.unconfirmed]
    progress.read = len(listing.rows)
    progress.incomplete += len(progress.read_failures)
    return progress


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
