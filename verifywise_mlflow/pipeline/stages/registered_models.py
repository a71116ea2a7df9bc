"""Stage 1: the registered models of a tenant, with their tags and aliases."""

from __future__ import annotations

from collections.abc import Sequence

from verifywise_mlflow.connector.models import RegisteredModel
from verifywise_mlflow.persistence.repositories import registry
from verifywise_mlflow.persistence.repositories.registry import Seen
from verifywise_mlflow.persistence.row_mapping import NAME_BYTES, entity, fits
from verifywise_mlflow.persistence.store import Connection
from verifywise_mlflow.pipeline.change_detection import Changes
from verifywise_mlflow.pipeline.context import Progress, StageContext, Unreadable
from verifywise_mlflow.pipeline.lifecycle_events import events_of_model
from verifywise_mlflow.pipeline.recording import bury, tell
from verifywise_mlflow.pipeline.removal_guard import Loss, confirm_removal


def refresh(context: StageContext) -> Progress:
    """List all registered models; write those that differ, entomb those that are gone."""
    progress = Progress(reconciled=True)
    reader, tenant_id = context.reader(), context.tenant.tenant_id

    listing = reader.registered_models()
    progress.notes += listing.problems
    if not listing.rows and context.tenant.auth.kind != "none":
        # MLflow leaves out of a listing what the account may not see.
        progress.notes.append(
            "the server shows this account no registered model: if it has some, grant READ on registered models"
        )
    models = [model for model in listing.rows if fits(model.name)]
    for model in listing.rows:
        if not fits(model.name):
            reason = f"its name has more than {NAME_BYTES} bytes"
            progress.unreadable.append(Unreadable("registered model", f"{model.name[:80]}…", reason))
        elif model.problems:
            progress.incomplete += 1
    with context.begin() as connection:
        known = registry.known_models(connection, tenant_id)

    changes: Changes[RegisteredModel] = Changes()
    for model in models:
        changes.compare(model, model.created_at, known.get(model.name))
    for batch in changes.batches():
        with context.begin() as connection:
            _write(context, connection, progress, batch)
        context.show(progress.changed, len(changes.seen))

    listed = {model.name for model in listing.rows}
    living = [name for name, before in known.items() if not before.is_gone]
    missing = [name for name in living if name not in listed]
    removal = confirm_removal(
        missing,
        losses=_losses(context, missing, len(living)),
        listing_is_complete=listing.is_complete,
        is_accepted=bool(context.options.accept_removals),
        ask=reader.registered_model,
    )
    bury(
        context,
        progress,
        removal,
        lambda connection, names: registry.entomb_models(connection, tenant_id, names, context.now),
    )
    progress.unreadable += [Unreadable("registered model", name, reason) for name, reason in removal.unconfirmed]
    progress.read = len(listing.rows)
    progress.incomplete += len(progress.unreadable)
    return progress


def _write(
    context: StageContext, connection: Connection, progress: Progress, batch: Sequence[Seen[RegisteredModel]]
) -> None:
    tenant_id = context.tenant.tenant_id
    rows = registry.models_by_name(connection, tenant_id, [seen.found.name for seen in batch if seen.known])
    former = {name: entity(RegisteredModel, row, name=name) for name, row in rows.items()}
    registry.write_models(connection, tenant_id, batch, context.now)
    tell(
        context,
        connection,
        progress,
        (event for seen in batch for event in events_of_model(seen, former.get(seen.found.name))),
    )
    progress.changed += len(batch)


def _losses(context: StageContext, missing: Sequence[str], known: int) -> list[Loss]:
    """Return how much is missing: a model takes its versions with it, so they count, too."""
    if not missing:
        return []
    tenant_id = context.tenant.tenant_id
    with context.begin() as connection:
        versions = sum(map(len, registry.living_numbers(connection, tenant_id, missing).values()))
        known_versions = registry.count_living_versions(connection, tenant_id)
    return [Loss("registered models", len(missing), known), Loss("model versions", versions, known_versions)]
