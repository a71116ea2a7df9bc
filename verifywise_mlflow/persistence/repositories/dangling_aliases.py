"""Aliases that point to a version that MLflow no longer has, and the evidence for that.

MLflow sets an alias only to an existing version, but up to 3.1 it keeps the alias when the version is deleted. The
evidence that a version is gone is its tombstone, or a complete listing that lacks the version, if the listing was read
after the alias.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import select, update

from verifywise_mlflow.common.stages import Stage
from verifywise_mlflow.persistence.repositories import tenancy
from verifywise_mlflow.persistence.row_mapping import is_one_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import model_versions, registered_models, revisions


def missing_numbers(session: TenantSession, models: Mapping[str, Mapping[str, object]]) -> dict[str, set[int]]:
    """Return the numbers of missing versions to which the models' aliases point, by model.

    The aliases of a deleted model ended with the model, so none of them is dangling.

    Args:
        session: the tenant's session.
        models: rows of ``registered_models``, by name.
    """
    numbers_by_model = {
        name: set(aliases.values())
        for name, row in models.items()
        if row["deleted_at"] is None and isinstance(aliases := row["aliases"], Mapping) and aliases
    }
    if not numbers_by_model:
        return {}
    versions = model_versions
    keys = [(name, number) for name, numbers in numbers_by_model.items() for number in numbers]
    rows = session.execute(
        select(versions.c.model_name, versions.c.version_number, versions.c.deleted_at.is_not(None)).where(
            versions.c.tenant_id == session.tenant_id, is_one_of(versions, keys)
        )
    )
    is_deleted = {(name, number): deleted for name, number, deleted in rows}
    last_refresh = tenancy.stage_refreshes_of(session).get(Stage.MODEL_VERSIONS)
    listed_at = last_refresh.reconciled_at if last_refresh else None
    missing: dict[str, set[int]] = {}
    for name, number in keys:
        # Without a complete listing since the alias was read, an unknown version may exist.
        if is_deleted.get((name, number), listed_at is not None and _changed_at(models[name]) <= listed_at):
            missing.setdefault(name, set()).add(number)
    return missing


def _changed_at(row: Mapping[str, object]) -> datetime:
    changed_at = row["changed_at"]
    assert isinstance(changed_at, datetime)  # the column's type
    return changed_at


def renew_models(session: TenantSession, names: Collection[str], changed_since: datetime | None = None) -> None:
    """Give models a new revision, so that the records of all their versions are built again.

    Args:
        session: the tenant's session.
        names: the models that have a newly dangling alias.
        changed_since: leave out models that have not changed since this time.
    """
    if not names:
        return
    table = registered_models
    is_named = (table.c.tenant_id == session.tenant_id) & table.c.model_name.in_(names)
    if changed_since is not None:
        is_named &= table.c.changed_at > changed_since
    session.execute(update(table).where(is_named).values(revision=revisions.next_value()))
