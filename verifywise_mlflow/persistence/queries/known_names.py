"""The names that the store knows: tenants, models and versions, to resolve a reference or to suggest a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Column, exists, or_, select

from verifywise_mlflow.persistence.queries.history import record_states, valid_at
from verifywise_mlflow.persistence.queries.version_filter import matches_glob
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_verdicts, registered_models, tenants


@dataclass(frozen=True, slots=True)
class NamedVersion:
    """A version with the names by which people refer to it."""

    version_number: int
    aliases: Sequence[str]
    lifecycle_stage: str | None


def named_versions(session: TenantSession, model_name: str, at: datetime) -> list[NamedVersion]:
    """Return the versions of a model that had an alias or a stage at a given time, without versions deleted by then.

    Raises:
        ValueError: the time is naive.
    """
    states = record_states.c
    rows = session.execute(
        select(states.version_number, states.aliases, states.lifecycle_stage)
        .where(
            states.tenant_id == session.tenant_id,
            states.model_name == model_name,
            states.deleted_at.is_(None),
            or_(states.aliases != [], states.lifecycle_stage.is_not(None)),
            *valid_at(record_states, at),
        )
        .order_by(states.version_number)
    )
    return [NamedVersion(number, aliases or (), stage) for number, aliases, stage in rows]


def is_recorded(session: TenantSession, key: Key) -> bool:
    """Return whether the version has a record, now or as a tombstone."""
    table = canonical_records
    is_version = (table.c.model_name == key[0]) & (table.c.version_number == key[1])
    query = select(table.c.version_number).where(table.c.tenant_id == session.tenant_id, is_version)
    return session.execute(query).first() is not None


def recorded_version_numbers(session: TenantSession, model_name: str, limit: int) -> list[int]:
    """Return the highest ``limit`` version numbers of a model, tombstones included, sorted from the lowest."""
    table = canonical_records
    query = (
        select(table.c.version_number)
        .where(table.c.tenant_id == session.tenant_id, table.c.model_name == model_name)
        .order_by(table.c.version_number.desc())
        .limit(limit)
    )
    return sorted(session.scalars(query))


def recorded_model_names(session: TenantSession, limit: int) -> list[str]:
    """Return up to ``limit`` names of the tenant's models that have a version, tombstones included."""
    table = canonical_records
    query = select(table.c.model_name).where(table.c.tenant_id == session.tenant_id).distinct().limit(limit)
    return list(session.scalars(query))


def recorded_owners(session: TenantSession, limit: int) -> list[str]:
    """Return up to ``limit`` owners of the tenant's versions, tombstones included."""
    owner = canonical_records.c.owner
    query = select(owner).where(canonical_records.c.tenant_id == session.tenant_id, owner.is_not(None))
    return list(session.scalars(query.distinct().limit(limit)))


FilteredName = Literal["model", "owner", "rule"]
"""What a name in a filter of versions or gaps refers to."""


def names_any(session: TenantSession, kind: FilteredName, name: str) -> bool:
    """Return whether a name or glob matches a stored model, an owner, or a rule with verdicts, ignoring case."""
    columns: Mapping[FilteredName, Sequence[Column[str]]] = {
        "model": (registered_models.c.model_name, canonical_records.c.model_name),
        "owner": (canonical_records.c.owner,),
        "rule": (compliance_verdicts.c.rule_id,),
    }
    return any(
        session.scalar(
            select(exists().where(column.table.c.tenant_id == session.tenant_id, matches_glob(column, (name,))))
        )
        for column in columns[kind]
    )


def visible_tenants(session: TenantSession, limit: int) -> list[str]:
    """Return up to ``limit`` tenants that the role may see: row-level security hides all others."""
    return list(session.scalars(select(tenants.c.tenant_id).order_by(tenants.c.tenant_id).limit(limit)))
