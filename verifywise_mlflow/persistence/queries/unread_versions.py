"""Versions that could not be read completely, and objects that listings omit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text, true

from verifywise_mlflow.normalizer.unread_object import UnreadObject, unread_objects_from_json
from verifywise_mlflow.persistence.queries.version_filter import is_any_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, model_versions, registered_models


@dataclass(frozen=True, slots=True)
class UnreadVersion:
    """A living version whose record is incomplete."""

    model_name: str
    version_number: int
    objects: Sequence[UnreadObject]
    """What could not be read, and why."""


def unread_versions(
    session: TenantSession, limit: int, models: Collection[str] | None = None
) -> tuple[list[UnreadVersion], int]:
    """Return the first living versions with an incomplete record, by model and version, and the number of all of them.

    Args:
        session: The tenant's transaction.
        limit: The maximum number of versions to return.
        models: Only versions of these models.
    """
    records = canonical_records
    conditions = (
        records.c.tenant_id == session.tenant_id,
        records.c.deleted_at.is_(None),
        text("incomplete <> '[]'::jsonb"),  # the condition of the partial index
        is_any_of(records.c.model_name, models) if models is not None else true(),
    )
    rows = session.execute(
        select(records.c.model_name, records.c.version_number, records.c.incomplete)
        .where(*conditions)
        .order_by(records.c.model_name, records.c.version_number)
        .limit(limit)
    )
    versions = [UnreadVersion(name, number, unread_objects_from_json(unread)) for name, number, unread in rows]
    total = len(versions)
    if total == limit:
        total = session.scalar(select(func.count()).select_from(records).where(*conditions)) or total
    return versions, total


def count_hidden(session: TenantSession) -> int:
    """Return how many living models and versions a listing omits, although a request by name returns them."""
    return sum(
        session.scalar(
            select(func.count())
            .select_from(table)
            .where(table.c.tenant_id == session.tenant_id, table.c.hidden_from_search, table.c.deleted_at.is_(None))
        )
        or 0
        for table in (registered_models, model_versions)
    )
