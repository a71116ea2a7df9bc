"""Registered models and their versions, as last seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, and_, select, tuple_, update

from verifywise_mlflow.connector.entities import ModelVersion, RegisteredModel
from verifywise_mlflow.persistence.rows import Key, Row, columns_of, entity, upsert
from verifywise_mlflow.persistence.tables import model_versions, registered_models, revisions


@dataclass(frozen=True, slots=True)
class Known:
    """What the store holds of one object."""

    fingerprint: str
    is_gone: bool


def known_models(connection: Connection, tenant_id: str) -> dict[str, Known]:
    """Return every model's fingerprint by its name, tombstones too."""
    table = registered_models
    rows = connection.execute(
        select(table.c.model_name, table.c.fingerprint, table.c.gone_at.is_not(None)).where(
            table.c.tenant_id == tenant_id
        )
    )
    return {name: Known(fingerprint, gone) for name, fingerprint, gone in rows}


def known_versions(connection: Connection, tenant_id: str) -> dict[Key, Known]:
    """Return every version's fingerprint by its key, tombstones too."""
    table = model_versions
    rows = connection.execute(
        select(table.c.model_name, table.c.version_number, table.c.fingerprint, table.c.gone_at.is_not(None)).where(
            table.c.tenant_id == tenant_id
        )
    )
    return {(name, number): Known(fingerprint, gone) for name, number, fingerprint, gone in rows}


def aliases_by_version(connection: Connection, tenant_id: str) -> dict[Key, list[str]]:
    """Return the aliases of each version that has any, sorted."""
    table = registered_models
    rows = connection.execute(
        select(table.c.model_name, table.c.aliases).where(
            table.c.tenant_id == tenant_id, table.c.gone_at.is_(None), table.c.aliases != {}
        )
    )
    by_version: dict[Key, list[str]] = {}
    for name, aliases in rows:
        for alias, number in sorted(aliases.items()):
            by_version.setdefault((name, number), []).append(alias)
    return by_version


def write_models(
    connection: Connection, tenant_id: str, models: Sequence[tuple[RegisteredModel, str]], now: datetime
) -> None:
    """Write models with their fingerprints."""
    rows: list[Row] = []
    for model, fingerprint in models:
        row = columns_of(model)
        row["model_name"] = row.pop("name")
        rows.append({**row, "tenant_id": tenant_id, "gone_at": None, "fingerprint": fingerprint, "changed_at": now})
    upsert(connection, registered_models, rows)


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A version with what the models' listing adds to it."""

    version: ModelVersion
    aliases: Sequence[str]
    logged_model_id: str | None


def write_versions(
    connection: Connection, tenant_id: str, versions: Sequence[tuple[ListedVersion, str]], now: datetime
) -> None:
    """Write versions with their fingerprints."""
    rows: list[Row] = [
        {
            **columns_of(listed.version),
            "aliases": listed.aliases,
            "logged_model_id": listed.logged_model_id,
            "tenant_id": tenant_id,
            "gone_at": None,
            "fingerprint": fingerprint,
            "changed_at": now,
        }
        for listed, fingerprint in versions
    ]
    upsert(connection, model_versions, rows)


def entomb_models(connection: Connection, tenant_id: str, names: Collection[str], now: datetime) -> None:
    """Mark models as gone, and their versions with them; what is known of them stays."""
    for table in (registered_models, model_versions):
        _entomb(connection, table, and_(table.c.tenant_id == tenant_id, table.c.model_name.in_(names)), now)


def entomb_versions(connection: Connection, tenant_id: str, keys: Collection[Key], now: datetime) -> None:
    """Mark versions as gone; what is known of them stays."""
    table = model_versions
    these = tuple_(table.c.model_name, table.c.version_number).in_(keys)
    _entomb(connection, table, and_(table.c.tenant_id == tenant_id, these), now)


def _entomb(connection: Connection, table: Table, these: ColumnElement[bool], now: datetime) -> None:
    connection.execute(
        update(table)
        .where(these, table.c.gone_at.is_(None))
        .values(gone_at=now, changed_at=now, revision=revisions.next_value())
    )


def models_by_name(connection: Connection, tenant_id: str, names: Collection[str]) -> dict[str, Mapping[str, object]]:
    """Return the rows of the named models."""
    table = registered_models
    rows = connection.execute(select(table).where(table.c.tenant_id == tenant_id, table.c.model_name.in_(names)))
    return {str(row["model_name"]): row for row in map(dict, rows.mappings())}


def version_at(connection: Connection, tenant_id: str, name: str, number: int) -> ModelVersion | None:
    """Return one version, or none."""
    table = model_versions
    row = (
        connection.execute(
            select(table).where(
                table.c.tenant_id == tenant_id, table.c.model_name == name, table.c.version_number == number
            )
        )
        .mappings()
        .first()
    )
    return None if row is None else entity(ModelVersion, dict(row))
