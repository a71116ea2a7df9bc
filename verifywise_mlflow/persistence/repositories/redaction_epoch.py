"""When a tenant's current redaction settings took effect. Objects that were read earlier must be read again."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, select

from verifywise_mlflow.persistence.repositories.config_versions import insert_config_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import config_versions
from verifywise_mlflow.redaction.settings import RedactionSettings

_KIND = "redaction"


def record_redaction_settings(
    session: TenantSession, settings: RedactionSettings, digest: str, now: datetime, sync_id: str
) -> None:
    """Store settings that differ from the settings in force, with their digest."""
    insert_config_version(session, _KIND, digest, settings.model_dump(mode="json"), sync_id, now)


def newest(tenant_id: str) -> Select[tuple[str, datetime]]:
    """Return the query for the digest and the start of the settings in force; without settings, it returns no row."""
    return (
        select(config_versions.c.digest, config_versions.c.valid_from)
        .where(config_versions.c.tenant_id == tenant_id, config_versions.c.kind == _KIND)
        .order_by(config_versions.c.config_version_id.desc())
        .limit(1)
    )
