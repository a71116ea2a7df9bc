"""The versions of a tenant's mapping, policies, description, declared AI systems and redaction settings, in full.

These versions explain past verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Select, insert, select

from verifywise_mlflow.audit.state_leaf import State
from verifywise_mlflow.persistence.locks import lock_tenant
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import CONFIGURATION_COLUMNS, hash_of_row
from verifywise_mlflow.persistence.tables import config_versions

ConfigKind = Literal["mapping", "policy", "tenant", "ai systems"]


@dataclass(frozen=True, slots=True)
class ConfigVersion:
    """A version of the configuration and the time from which it was in force."""

    digest: str
    document: Mapping[str, object]
    valid_from: datetime
    sync_id: str


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """A change to a new version."""

    previous: ConfigVersion | None
    """None for the first version."""


def record_config_version(
    session: TenantSession,
    kind: ConfigKind,
    digest: str,
    document: Mapping[str, object],
    sync_id: str,
    now: datetime,
) -> ConfigChange | None:
    """Store a new version; return the change, or None if the version in force has the same digest.

    Raises:
        LockTimeoutError: another transaction locked the tenant's configurations or its audit trail for too long.
    """
    if is_in_force(session, kind, digest):
        return None
    # Two processes may start with the same new configuration: only one of them reports the change.
    lock_tenant(session.connection, session.tenant_id, "config versions")
    newest = config_version(session, kind)
    if newest and newest.digest == digest:
        return None
    insert_config_version(session, kind, digest, document, sync_id, now)
    return ConfigChange(newest)


def insert_config_version(
    session: TenantSession, kind: str, digest: str, document: Mapping[str, object], sync_id: str, now: datetime
) -> None:
    """Store a version, and append it to the log of states."""
    row = {"tenant_id": session.tenant_id, "kind": kind, "digest": digest, "document": document, "valid_from": now}
    session.execute(insert(config_versions).values(**row, sync_id=sync_id))
    content = hash_of_row(config_versions, CONFIGURATION_COLUMNS, row)
    state_log.append(session, [State("configuration", "", 0, kind, now, sync_id, content)])


def is_in_force(session: TenantSession, kind: ConfigKind, digest: str) -> bool:
    """Return whether the version in force has this digest. The version's document may be large and is not read."""
    return session.scalar(digest_in_force(session.tenant_id, kind)) == digest


def digest_in_force(tenant_id: str, kind: ConfigKind) -> Select[tuple[str]]:
    """Return the query of the digest of the version in force. It returns no row before the first version."""
    table = config_versions
    return (
        select(table.c.digest)
        .where(table.c.tenant_id == tenant_id, table.c.kind == kind)
        .order_by(table.c.config_version_id.desc())
        .limit(1)
    )


def config_version(session: TenantSession, kind: ConfigKind, *, at: datetime | None = None) -> ConfigVersion | None:
    """Return the version in force, now or at a given time; None before the first version."""
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


def all_config_versions(session: TenantSession, kind: ConfigKind) -> list[ConfigVersion]:
    """Return all versions of a kind, oldest first."""
    table = config_versions
    query = (
        select(table.c.digest, table.c.document, table.c.valid_from, table.c.sync_id)
        .where(table.c.tenant_id == session.tenant_id, table.c.kind == kind)
        .order_by(table.c.config_version_id)
    )
    return [ConfigVersion(*row) for row in session.execute(query)]
