"""Which mapping, policy and description of a tenant held from when on, each in full, so that the past can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import insert, select, text

from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import config_versions

ConfigKind = Literal["mapping", "policy", "tenant"]


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """Something that holds, or held, from a time on."""

    digest: str
    document: Mapping[str, object]
    valid_from: datetime
    sync_id: str


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """A change of what holds."""

    previous: ConfigVersion | None
    """None the first time."""


def record_config_version(
    session: TenantSession,
    kind: ConfigKind,
    digest: str,
    document: Mapping[str, object],
    sync_id: str,
    now: datetime,
) -> ConfigChange | None:
    """Note what holds from now on; return what it takes the place of, or None where the same held before."""
    newest = config_version(session, kind)
    if newest and newest.digest == digest:
        return None
    # Two processes may start with the same new description: only one of them is to tell of it.
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"),
        {"lock": f"verifywise_mlflow config versions {session.tenant_id}"},
    )
    newest = config_version(session, kind)
    if newest and newest.digest == digest:
        return None
    row = {"tenant_id": session.tenant_id, "kind": kind, "digest": digest, "document": document, "valid_from": now}
    session.execute(insert(config_versions).values(**row, sync_id=sync_id))
    return ConfigChange(newest)


def config_version(session: TenantSession, kind: ConfigKind, *, at: datetime | None = None) -> ConfigVersion | None:
    """Return what holds, or what held at a time; None before the first."""
    table = config_versions
    query = (
        select(table.c.digest, table.c.document, table.c.valid_from, table.c.sync_id)
        .where(table.c.tenant_id == session.tenant_id, table.c.kind == kind)
        .order_by(table.c.config_version_id.desc())
        .limit(1)
    )
    if at is not None:
        query = query.where(table.c.valid_from <= at)
    row = session.execute(query).first()
    return None if row is None else ConfigVersion(*row)
