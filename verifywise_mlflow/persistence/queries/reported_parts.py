"""The parts of versions whose changes MLflow's webhooks report: tags and aliases."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import select

from verifywise_mlflow.persistence.row_mapping import Key, is_one_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import model_versions

ReportedParts = tuple[Mapping[str, str], Sequence[str]]
"""A version's tags, and its aliases in the stored order."""


def reported_parts(session: TenantSession, keys: Collection[Key]) -> dict[Key, ReportedParts]:
    """Return the stored tags and aliases of versions, tombstones left out."""
    table = model_versions
    rows = session.execute(
        select(table.c.model_name, table.c.version_number, table.c.tags, table.c.aliases).where(
            table.c.tenant_id == session.tenant_id, table.c.deleted_at.is_(None), is_one_of(table, keys)
        )
    )
    return {(name, number): (tags, aliases) for name, number, tags, aliases in rows}
