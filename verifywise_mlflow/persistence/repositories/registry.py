"""Registered models and model versions, as last read, and the tombstones of deleted models and versions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from sqlalchemy import ARRAY, ColumnElement, Table, and_, any_, cast, func, null, or_, select, update

from verifywise_mlflow.artifacts.version_origin import VersionOrigin, own_origin
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.connector.models import ModelVersion, RegisteredModel
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_FETCH
from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.row_mapping import (
    Key,
    Row,
    columns_of,
    dicts_of,
    is_one_of,
    rows_by_key,
    to_entity,
    upsert,
)
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import model_versions, registered_models, revisions

T = TypeVar("T")


@value_object
class StoredObject:
    """The stored columns of one object, such as a model, that decide whether it changed."""

    fingerprint: str
    is_deleted: bool
    created_at: datetime | None
    incarnation: int
    is_hidden: bool = False
    """Whether plain searches hide the object, since it has the prompt tag."""


@value_object
class ListedObject(Generic[T]):
    """An object from a listing, such as a model, together with its stored state from before."""

    entity: T
    fingerprint: str
    incarnation: int = 1
    stored: StoredObject | None = None
    """The row as it was before this listing; None for a new object."""

    @property
    def is_recreated(self) -> bool:
        """Whether the object was deleted and created again under the same name or number."""
        return self.stored is not None and self.stored.incarnation != self.incarnation

    def row_values(self, tenant_id: str, now: datetime) -> Row:
        """Return the columns of a row that do not depend on the kind of object."""
        return {
            "tenant_id": tenant_id,
            "deleted_at": None,
            "fingerprint": self.fingerprint,
            "incarnation": self.incarnation,
            "changed_at": now,
        }


@value_object
class Tombstone:
    """An object that has just been marked as deleted."""

    model_name: str
    version_number: int | None
    """None for a model."""
    incarnation: int


def stored_models(session: TenantSession, names: Collection[str] | None = None) -> dict[str, StoredObject]:
    """Return the stored models by name, tombstones included; without ``names``, all models."""
    table = registered_models
    query = select(table.c.model_name, *_stored_columns(table)).where(table.c.tenant_id == session.tenant_id)
    if names is not None:
        query = query.where(table.c.model_name == any_(cast(list(names), ARRAY(Text))))
    return {name: StoredObject(*stored) for name, *stored in session.execute(query)}


def stored_versions(session: TenantSession, keys: Collection[Key] | None = None) -> dict[Key, StoredObject]:
    """Return the stored versions by key, tombstones included; without ``keys``, all versions."""
    table = model_versions
    query = select(table.c.model_name, table.c.version_number, *_stored_columns(table)).where(
        table.c.tenant_id == session.tenant_id
    )
    if keys is not None:
        query = query.where(is_one_of(table, keys))
    # The rows are read in pages: otherwise the driver holds the whole result in memory, next to what is built from it.
    rows = session.execute(query.execution_options(yield_per=ROWS_PER_FETCH))
    return {(name, number): StoredObject(*stored) for name, number, *stored in rows}


def living_models(session: TenantSession) -> Iterator[str]:
    """Yield the name of each living model, in pages: a tenant may have many."""
    table = registered_models
    yield from session.execute(
        select(table.c.model_name)
        .where(table.c.tenant_id == session.tenant_id, table.c.deleted_at.is_(None))
        .execution_options(yield_per=ROWS_PER_FETCH)
    ).scalars()


def living_versions(session: TenantSession) -> Iterator[Key]:
    """Yield the key of each living version, in pages: a tenant may have many."""
    table = model_versions
    rows = session.execute(
        select(table.c.model_name, table.c.version_number)
        .where(table.c.tenant_id == session.tenant_id, table.c.deleted_at.is_(None))
        .execution_options(yield_per=ROWS_PER_FETCH)
    )
    yield from ((name, number) for name, number in rows)


def hidden_from_search(session: TenantSession) -> tuple[set[str], set[Key]]:
    """Return the models and versions that plain searches hide, since they have the prompt tag."""
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


def models_with_hidden_versions(session: TenantSession, names: Collection[str]) -> set[str]:
    """Return the given models that have a living version which plain searches hide."""
    table = model_versions
    rows = session.scalars(
        select(table.c.model_name)
        .where(
            table.c.tenant_id == session.tenant_id,
            table.c.model_name == any_(cast(list(names), ARRAY(Text))),
            table.c.hidden_from_search,
            table.c.deleted_at.is_(None),
        )
        .distinct()
    )
    return set(rows)


def _stored_columns(table: Table) -> list[ColumnElement[Any]]:
    return [
        *(table.c.fingerprint, table.c.deleted_at.is_not(None), table.c.created_at, table.c.incarnation),
        table.c.hidden_from_search,
    ]


def aliases_by_version(session: TenantSession, names: Collection[str] | None = None) -> dict[Key, list[str]]:
    """Return the sorted aliases of each version with aliases, for all living models or for the named models."""
    table = registered_models
    query = select(table.c.model_name, table.c.aliases).where(
        table.c.tenant_id == session.tenant_id, table.c.deleted_at.is_(None), table.c.aliases != {}
    )
    if names is not None:
        query = query.where(table.c.model_name == any_(cast(list(names), ARRAY(Text))))
    rows = session.execute(query)
    by_version: dict[Key, list[str]] = {}
    for name, aliases in rows:
        for alias, number in sorted(aliases.items()):
            by_version.setdefault((name, number), []).append(alias)
    return by_version


def versions_with_other_aliases(
    session: TenantSession, aliases: Mapping[Key, Sequence[str]], names: Collection[str]
) -> set[Key]:
    """Return the versions whose aliases differ from the stored aliases of the named models' living versions.

    Args:
        session: the tenant's session.
        aliases: the present aliases by version. The versions need not be stored.
        names: the models.
    """
    table = model_versions
    rows = session.execute(
        select(table.c.model_name, table.c.version_number, table.c.aliases).where(
            table.c.tenant_id == session.tenant_id,
            table.c.model_name == any_(cast(list(names), ARRAY(Text))),
            table.c.deleted_at.is_(None),
            table.c.aliases != [],
        )
    )
    stored = {(name, number): stored_aliases for name, number, stored_aliases in rows}
    return {key for key in stored.keys() | aliases.keys() if stored.get(key, []) != aliases.get(key, [])}


def write_models(session: TenantSession, models: Sequence[ListedObject[RegisteredModel]], now: datetime) -> None:
    """Upsert models."""
    rows: list[Row] = []
    for listed in models:
        row = columns_of(listed.entity)
        row["model_name"] = row.pop("name")
        rows.append({**row, **listed.row_values(session.tenant_id, now)})
    upsert(session, registered_models, rows)


@value_object
class ListedVersion:
    """A version, and the version's aliases from the models' listing."""

    version: ModelVersion
    aliases: Sequence[str]


def write_versions(
    session: TenantSession,
    versions: Sequence[ListedObject[ListedVersion]],
    now: datetime,
    *,
    copy_origins: Mapping[Key, VersionOrigin] = MappingProxyType({}),
) -> None:
    """Upsert versions. ``copy_origins`` has the origin of each version that is a copy."""
    rows: list[Row] = []
    for listed in versions:
        version = listed.entity.version
        origin = copy_origins.get((version.model_name, version.version_number)) or own_origin(version)
        rows.append(
            {
                **columns_of(version),
                "aliases": listed.entity.aliases,
                **_origin_columns(origin),
                **listed.row_values(session.tenant_id, now),
            }
        )
    upsert(session, model_versions, rows)


def _origin_columns(origin: VersionOrigin) -> Row:
    return {
        "logged_model_id": origin.logged_model_id,
        "logged_model_location": origin.logged_model_location,
        "copied_from": [{"model_name": name, "version_number": number} for name, number in origin.copied_from],
        "origin_source": origin.source if origin.copied_from else origin.location,
        "origin_run_id": origin.run_id,
        "origin_problem": origin.problem,
    }


def to_origin(row: Mapping[str, Any]) -> VersionOrigin:
    """Return the origin in a row of ``model_versions``."""
    copied_from = tuple((item["model_name"], item["version_number"]) for item in row["copied_from"])
    if copied_from:
        return VersionOrigin(row["origin_source"], row["origin_run_id"], copied_from)
    problem = row["origin_problem"]
    return VersionOrigin(row["source"], row["origin_run_id"], problem=problem, location=row["origin_source"])


@value_object
class StoredCopy:
    """The stored origin of a copy, and the fields that identify the copy. MLflow changes neither of them."""

    source: str | None
    created_at: datetime | None
    origin: VersionOrigin

    def is_same_copy(self, version: ModelVersion) -> bool:
        """Whether the origin belongs to ``version``, and not to an earlier version with the same name and number."""
        return (self.source, self.created_at) == (version.source, version.created_at)


def stored_copies(session: TenantSession) -> dict[Key, StoredCopy]:
    """Return the stored origin of each copy, tombstones included."""
    table = model_versions
    columns = (
        *(table.c.model_name, table.c.version_number, table.c.source, table.c.created_at),
        *(table.c.copied_from, table.c.origin_source, table.c.origin_run_id, table.c.origin_problem),
    )
    rows = session.execute(
        select(*columns).where(
            table.c.tenant_id == session.tenant_id,
            or_(table.c.copied_from != [], table.c.origin_problem.is_not(None)),
        )
    ).mappings()
    return {
        (row["model_name"], row["version_number"]): StoredCopy(row["source"], row["created_at"], to_origin(dict(row)))
        for row in rows
    }


def mark_models_deleted(session: TenantSession, names: Collection[str], now: datetime) -> list[Tombstone]:
    """Soft delete (tombstone) models and their versions. Return the tombstones of the objects that were living."""
    return [
        tombstone
        for table in (registered_models, model_versions)
        for tombstone in _mark_deleted(
            session, table, and_(table.c.tenant_id == session.tenant_id, table.c.model_name.in_(names)), now
        )
    ]


def mark_versions_deleted(session: TenantSession, keys: Collection[Key], now: datetime) -> list[Tombstone]:
    """Soft delete (tombstone) versions. Return the tombstones of the objects that were living."""
    table = model_versions
    return _mark_deleted(session, table, and_(table.c.tenant_id == session.tenant_id, is_one_of(table, keys)), now)


def _mark_deleted(
    session: TenantSession, table: Table, condition: ColumnElement[bool], now: datetime
) -> list[Tombstone]:
    number = table.c.version_number if "version_number" in table.c else null()
    rows = session.execute(
        update(table)
        .where(condition, table.c.deleted_at.is_(None))
        .values(deleted_at=now, changed_at=now, revision=revisions.next_value())
        .returning(table.c.model_name, number, table.c.incarnation)
    )
    return sorted(
        (Tombstone(*row) for row in rows), key=lambda tombstone: (tombstone.model_name, tombstone.version_number or 0)
    )


def models_by_name(session: TenantSession, names: Collection[str]) -> dict[str, Mapping[str, object]]:
    """Return the rows of the named models."""
    rows = rows_by_key(session, registered_models, {"model_name": list(names)})
    return {str(row["model_name"]): row for row in dicts_of(rows)}


def living_version_numbers(session: TenantSession, names: Collection[str]) -> dict[str, set[int]]:
    """Return the numbers of the named models' living versions."""
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


def count_living_models(session: TenantSession) -> int:
    """Return how many living models the tenant has."""
    return _count_living(session, registered_models)


def count_living_versions(session: TenantSession) -> int:
    """Return how many living versions the tenant has."""
    return _count_living(session, model_versions)


def _count_living(session: TenantSession, table: Table) -> int:
    living = (
        select(func.count())
        .select_from(table)
        .where(table.c.tenant_id == session.tenant_id, table.c.deleted_at.is_(None))
    )
    return session.execute(living).scalar_one()


def versions_by_key(session: TenantSession, keys: Collection[Key]) -> dict[Key, ModelVersion]:
    """Return the versions with these keys, tombstones included."""
    table = model_versions
    rows = session.execute(select(table).where(table.c.tenant_id == session.tenant_id, is_one_of(table, keys)))
    return {(row["model_name"], row["version_number"]): to_entity(ModelVersion, row) for row in dicts_of(rows)}


def version_sources(session: TenantSession, keys: Collection[Key]) -> dict[Key, ModelVersion]:
    """Return the versions with these keys, tombstones included, with only the columns that trace a copy."""
    table = model_versions
    rows = session.execute(
        select(*(table.c.model_name, table.c.version_number, table.c.source, table.c.run_id, table.c.created_at)).where(
            table.c.tenant_id == session.tenant_id, is_one_of(table, keys)
        )
    )
    return {
        (name, number): ModelVersion(name, number, source=source, run_id=run_id, created_at=created_at)
        for name, number, source, run_id, created_at in rows
    }


def versions_with_origin(
    session: TenantSession, keys: Collection[Key]
) -> dict[Key, tuple[ModelVersion, VersionOrigin]]:
    """Return the versions with these keys, tombstones included, each with its origin."""
    table = model_versions
    rows = session.execute(select(table).where(table.c.tenant_id == session.tenant_id, is_one_of(table, keys)))
    return {
        (row["model_name"], row["version_number"]): (to_entity(ModelVersion, row), to_origin(row))
        for row in dicts_of(rows)
    }
