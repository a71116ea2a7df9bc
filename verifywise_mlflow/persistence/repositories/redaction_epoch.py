"""Since when a tenant's texts are minimised as they are now: what was read before has to be read again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select

from verifywise_mlflow.persistence.tables import adoptions
from verifywise_mlflow.redaction.settings import Minimisation

_KIND = "minimisation"


def adopt(connection: Connection, tenant_id: str, settings: Minimisation, now: datetime, sync_id: str) -> None:
    """Note settings that differ from those that held before; so does a catalogue of tokens that knows others."""
    digest = settings.digest()
    if _latest(connection, tenant_id)[0] != digest:
        document = settings.model_dump(mode="json")
        connection.execute(
            insert(adoptions).values(
                tenant_id=tenant_id, kind=_KIND, digest=digest, document=document, adopted_at=now, sync_id=sync_id
            )
        )


def in_force_since(connection: Connection, tenant_id: str) -> datetime | None:
    """Return since when the settings hold that hold now; null before the first sync."""
    return _latest(connection, tenant_id)[1]


def _latest(connection: Connection, tenant_id: str) -> tuple[str | None, datetime | None]:
    row = connection.execute(
        select(adoptions.c.digest, adoptions.c.adopted_at)
        .where(adoptions.c.tenant_id == tenant_id, adoptions.c.kind == _KIND)
        .order_by(adoptions.c.adoption_id.desc())
        .limit(1)
    ).first()
    return (row[0], row[1]) if row else (None, None)
