"""When the current redaction settings of a tenant took effect: what was read before must be read again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select

from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import config_versions
from verifywise_mlflow.redaction.settings import RedactionSettings

_KIND = "redaction"


def record_redaction_settings(session: TenantSession, settings: RedactionSettings, now: datetime, sync_id: str) -> None:
    """Store settings that differ from those in force. A new catalog of token patterns also makes them differ."""
    digest = settings.digest()
    if _latest(session)[0] != digest:
        document = settings.model_dump(mode="json")
        session.execute(
            insert(config_versions).values(
                tenant_id=session.tenant_id,
                kind=_KIND,
                digest=digest,
                document=document,
                valid_from=now,
                sync_id=sync_id,
            )
        )


def in_force_since(session: TenantSession) -> datetime | None:
    """Return since when the current settings are in force; None before the first sync."""
    return _latest(session)[1]


def _latest(session: TenantSession) -> tuple[str | None, datetime | None]:
    row = session.execute(
        select(config_versions.c.digest, config_versions.c.valid_from)
        .where(config_versions.c.tenant_id == session.tenant_id, config_versions.c.kind == _KIND)
        .order_by(config_versions.c.config_version_id.desc())
        .limit(1)
    ).first()
    return (row[0], row[1]) if row else (None, None)
