"""Since when a tenant's texts are minimised as they are now: what was read before has to be read again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select

from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import adoptions
from verifywise_mlflow.redaction.settings import RedactionSettings

_KIND = "minimisation"


def adopt(session: TenantSession, settings: RedactionSettings, now: datetime, sync_id: str) -> None:
    """Note settings that differ from those that held before; so does a catalogue of tokens that knows others."""
    digest = settings.digest()
    if _latest(session)[0] != digest:
        document = settings.model_dump(mode="json")
        session.execute(
            insert(adoptions).values(
                tenant_id=session.tenant_id,
                kind=_KIND,
                digest=digest,
                document=document,
                adopted_at=now,
                sync_id=sync_id,
            )
        )


def in_force_since(session: TenantSession) -> datetime | None:
    """Return since when the settings hold that hold now; null before the first sync."""
    return _latest(session)[1]


def _latest(session: TenantSession) -> tuple[str | None, datetime | None]:
    row = session.execute(
        select(adoptions.c.digest, adoptions.c.adopted_at)
        .where(adoptions.c.tenant_id == session.tenant_id, adoptions.c.kind == _KIND)
        .order_by(adoptions.c.adoption_id.desc())
        .limit(1)
    ).first()
    return (row[0], row[1]) if row else (None, None)
