"""Registered models and their versions, as last seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Table, and_, func, null, select, update

from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.persistence.row_mapping import BATCH_SIZE, Key, Row, columns_of, is_one_of, to_entity, upsert
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import model_versions, registered_models, revisions

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the store holds of one object."""

    fingerprint: str
    is_deleted: bool
    created_at: datetime | None
    incarnation: int


@dataclass(frozen=True, slots=True)
class ListedObject(Generic[T]):
    """An object as a listing has just shown it."""

    entity: T
    fingerprint: str
    incarnation: int = 1
    stored: StoredObject | None = None
    """What the store held of it until now."""

    @property
    def is_recreated(self) -> bool:
        """Whether the name was that of another object until now."""
        return self.stored is not None and self.stored.incarnation != self.incarnation


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An object that has just got its tombstone."""

    model_name: str
    version_number: int | None
    """None for a model."""
    incarnation: int


def stored_models(session: TenantSession) -> dict[str, StoredObject]:
    """Return what is known of every model by its name, tombstones too."""
    table = registered_models
    rows = session.execute(select(table.c.model_name, *_known(table)).where(table.c.tenant_id == session.tenant_id))
    return {name: StoredObject(*known) for name, *known in rows}


def stored_versions(session: TenantSession) -> dict[Key, StoredObject]:
    """Return what is known of every version by its key, tombstones too."""
    table = model_versions
    rows = session.execute(
        select(table.c.model_name, table.c.version_number, *_known(table))
        .where(table.c.tenant_id == session.tenant_id)
        # In pieces: the driver would hold the whole answer beside what is made of it.
        .execution_options(yield_per=10 * BATCH_SIZE)
    )
    return {(name, number): StoredObject(*known) for name, number, *known in rows}


def hidden_from_search(session: TenantSession) -> tuple[set[str], set[Key]]:
    """Return the models and the versions that no plain search showed, since they hide among the prompts."""
    models, versions = registered_models, model_versions
    names = session.scalars(
        select(models.c.model_name).where(models.c.tenant_id == session.tenant_id, models.c.hidden_from_search)
    )
    keys = session.execute(
        select(versions.c.model_name, versions.c.version_number).where(
            versions.c.tenant_id == session.tenant_id, versions.c.hidden_from_search
        )
    )
    return set(names), {(name, number) for name, number in keys}


def _known(table: Table) -> list[ColumnElement[Any]]:
    return [table.c.fingerprint, table.c.deleted_at.is_not(None), table.c.created_at, table.c.incarnation]


def aliases_by_version(session: TenantSession) -> dict[Key, list[str]]:
    """Return the aliases of each version that has any, sorted."""
    table = registered_models
    rows = session.execute(
        select(table.c.model_name, table.c.aliases).where(
            table.c.tenant_id == session.tenant_id, table.c.deleted_at.is_(None), table.c.aliases != {}
        )
    )
    by_version: dict[Key, list[str]] = {}
    for name, aliases in rows:
        for alias, number in sorted(aliases.items()):
            by_version.setdefault((name, number), []).append(alias)
    return by_version


def write_models(session: TenantSession, models: Sequence[ListedObject[RegisteredModel]], now: datetime) -> None:
    """Write models."""
    rows: list[Row] = []
    for seen in models:
        row = columns_of(seen.entity)
        row["model_name"] = row.pop("name")
        rows.append({**row, **_written(session.tenant_id, seen, now)})
    upsert(session, registered_models, rows)


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A version with what the models' listing adds to it."""

    version: ModelVersion
    aliases: Sequence[str]
    logged_model_id: str | None


def write_versions(session: TenantSession, versions: Sequence[ListedObject[ListedVersion]], now: datetime) -> None:
    """Write versions."""
    rows: list[Row] = [
        {
            **columns_of(seen.entity.version),
            "aliases": seen.entity.aliases,
            "logged_model_id": seen.entity.logged_model_id,
            **_written(session.tenant_id, seen, now),
        }
        for seen in versions
    ]
    upsert(session, model_versions, rows)


def _written(tenant_id: str, seen: ListedObject[T], now: datetime) -> Row:
    return {
        "tenant_id": tenant_id,
        "deleted_at": None,
        "fingerprint": seen.fingerprint,
        "incarnation": seen.incarnation,
        "changed_at": now,
    }


def mark_models_deleted(session: TenantSession, names: Collection[str], now: datetime) -> list[Tombstone]:
    """Mark models as gone, and their versions with them; what is known of them stays. Return the living among them."""
    return [
        entombed
        for table in (registered_models, model_versions)
        for entombed in _mark_deleted(
            session, table, and_(table.c.tenant_id == session.tenant_id, table.c.model_name.in_(names)), now
        )
    ]


def mark_versions_deleted(session: TenantSession, keys: Collection[Key], now: datetime) -> list[Tombstone]:
    """Mark versions as gone; what is known of them stays. Return the living among them."""
    table = model_versions
    return _mark_deleted(session, table, and_(table.c.tenant_id == session.tenant_id, is_one_of(table, keys)), now)


def _mark_deleted(session: TenantSession, table: Table, these: ColumnElement[bool], now: datetime) -> list[Tombstone]:
    number = table.c.version_number if "version_number" in table.c else null()
    rows = session.execute(
        update(table)
        .where(these, table.c.deleted_at.is_(None))
        .values(deleted_at=now, changed_at=now, revision=revisions.next_value())
        .returning(table.c.model_name, number, table.c.incarnation)
    )
    return sorted((Tombstone(*row) for row in rows), key=lambda one: (one.model_name, one.version_number or 0))


def models_by_name(session: TenantSession, names: Collection[str]) -> dict[str, Mapping[str, object]]:
    """Return the rows of the named models."""
    table = registered_models
    rows = session.execute(select(table).where(table.c.tenant_id == session.tenant_id, table.c.model_name.in_(names)))
    return {str(row["model_name"]): row for row in map(dict, rows.mappings())}


def living_version_numbers(session: TenantSession, names: Collection[str]) -> dict[str, set[int]]:
    """Return the numbers of the versions that the named models have in MLflow."""
    table = model_versions
    rows = session.execute(
        select(table.c.model_name, table.c.version_number).where(
            table.c.tenant_id == session.tenant_id, table.c.model_name.in_(names), table.c.deleted_at.is_(None)
        )
    )
    numbers: dict[str, set[int]] = {}
    for name, number in rows:
        numbers.setdefault(name, set()).add(number)
    return numbers


def count_living_versions(session: TenantSession) -> int:
    """Return how many versions the tenant has in MLflow."""
    table = model_versions
    living = (
        select(func.count())
        .select_from(table)
        .where(table.c.tenant_id == session.tenant_id, table.c.deleted_at.is_(None))
    )
    return session.execute(living).scalar_one()


def versions_by_key(session: TenantSession, keys: Collection[Key]) -> dict[Key, ModelVersion]:
    """Return the versions as last seen, tombstones too."""
    table = model_versions
    rows = session.execute(select(table).where(table.c.tenant_id == session.tenant_id, is_one_of(table, keys)))
    return {(row["model_name"], row["version_number"]): to_entity(ModelVersion, dict(row)) for row in rows.mappings()}


def version_by_key(session: TenantSession, name: str, number: int) -> ModelVersion | None:
    """Return one version, or none."""
    return versions_by_key(session, [(name, number)]).get((name, number))
