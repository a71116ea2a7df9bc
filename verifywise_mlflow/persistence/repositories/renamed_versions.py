"""Names that a version had before its model was renamed. MLflow stores none: equal creation times show them."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from verifywise_mlflow.persistence.row_mapping import Key, is_one_of
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import model_versions


def other_names(session: TenantSession, keys: Collection[Key]) -> dict[Key, tuple[str, ...]]:
    """Return the other model names under which versions were seen: with the same number and creation time, sorted."""
    if not keys:
        return {}
    named, other = model_versions, model_versions.alias()
    rows = session.execute(
        select(named.c.model_name, named.c.version_number, other.c.model_name)
        .where(
            named.c.tenant_id == session.tenant_id,
            is_one_of(named, keys),
            other.c.tenant_id == session.tenant_id,
            other.c.version_number == named.c.version_number,
            other.c.created_at == named.c.created_at,
            other.c.model_name != named.c.model_name,
        )
        .order_by(other.c.model_name)
    )
    names: dict[Key, tuple[str, ...]] = {}
    for name, number, other_name in rows:
        names[name, number] = (*names.get((name, number), ()), other_name)
    return names
