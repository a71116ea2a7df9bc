"""When the current redaction settings of a tenant took effect: what was read before must be read again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, insert, select

from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import config_versions
from verifywise_mlflow.redaction.settings import RedactionSettings

_KIND = "redaction"


def record_redaction_settings(
    session: TenantSession, settings: RedactionSettings, digest: str, now: datetime, sync_id: str
) -> None:
    """Store settings that differ from those in force, with their digest."""
    session.execute(
        insert(config_versions).values(
            tenant_id=session.tenant_id,
            kind=_KIND,
            digest=digest,
            document=settings.model_dump(mode="json"),
            valid_from=now,
            sync_id=sync_id,
        )
    )


def newest(tenant_id: str) -> Select[tuple[str, datetime]]:
    """Return the query for the digest of the settings in force, and since when they are; no row before the first."""
    return (
        select(config_versions.c.digest, config_versions.c.valid_from)
        .where(config_versions.c.tenant_id == tenant_id, config_versions.c.kind == _KIND)
        .order_by(config_versions.c.config_version_id.desc())
        .limit(1)
    )
