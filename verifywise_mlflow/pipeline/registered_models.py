"""Stage 1: the registered models of a tenant, with their tags and aliases."""

from __future__ import annotations

from verifywise_mlflow.connector.entities import RegisteredModel
from verifywise_mlflow.persistence import registry
from verifywise_mlflow.persistence.rows import BATCH, NAME_BYTES, fits
from verifywise_mlflow.pipeline.changes import Changes
from verifywise_mlflow.pipeline.removal import confirm_removal
from verifywise_mlflow.pipeline.stage import Progress, StageContext, Unreadable


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

    changes: Changes[RegisteredModel] = Changes("registered model")
    for model in models:
        changes.compare(model.name, model, model.created_at, known.get(model.name))
    for start in range(0, len(changes.seen), BATCH):
        with context.begin() as connection:
            registry.write_models(connection, tenant_id, changes.seen[start : start + BATCH], context.now)
        context.show(start, len(changes.seen))

    listed = {model.name for model in listing.rows}
    living = [name for name, before in known.items() if not before.is_gone]
    removal = confirm_removal(
        [name for name in living if name not in listed],
        known=len(living),
        listing_is_complete=listing.is_complete,
        ask=reader.registered_model,
        what="registered models",
    )
    if removal.gone:
        with context.begin() as connection:
            registry.entomb_models(connection, tenant_id, removal.gone, context.now)
    progress.unreadable += [Unreadable("registered model", name, reason) for name, reason in removal.unconfirmed]
    progress.notes += removal.notes
    progress.recreated = changes.recreated
    progress.read, progress.changed, progress.removed = len(listing.rows), len(changes.seen), len(removal.gone)
    progress.incomplete += len(progress.unreadable)
    return progress
