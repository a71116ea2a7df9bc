"""Manifests that are held back, since the model's folder lists no files and this counts as an outage of the store.

A manifest with files stays as it was read before the outage. The manifest of a version that was never read before is
marked as unreachable.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, cast, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from verifywise_mlflow.persistence.repositories.manifests import PendingManifest
from verifywise_mlflow.persistence.repositories.tracked_objects import RUN_ID, VERSIONS_WITH_LOGGED_MODELS
from verifywise_mlflow.persistence.row_mapping import rows_of, same_version
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import artifact_manifests, model_versions


@dataclass(frozen=True, slots=True)
class HeldBackFolders:
    """How many folders of existing versions are held back."""

    held_back: int
    total: int
    """The number of folders of all existing versions with a manifest."""
    since: datetime
    """When the first of these folders was held back."""
    example: str
    """The location of one of these folders."""


@dataclass(frozen=True, slots=True)
class ReadableFolder:
    """A model's folder that had files at its last reading, and a version that has this folder."""

    location: str
    version: PendingManifest


def hold_back(session: TenantSession, due: Collection[PendingManifest], now: datetime) -> None:
    """Mark stored manifests as held back, with their present location; their content stays."""
    table = artifact_manifests
    columns: dict[str, Sequence[object]] = {
        "model_name": [item.key[0] for item in due],
        "version_number": [item.key[1] for item in due],
        "location_key": [item.location_key for item in due],
    }
    held_back = rows_of(table, columns)
    session.execute(
        update(table)
        .where(
            table.c.tenant_id == session.tenant_id,
            table.c.model_name == held_back.c.model_name,
            table.c.version_number == held_back.c.version_number,
        )
        .values(
            held_back_since=func.coalesce(table.c.held_back_since, now),
            location_key=held_back.c.location_key,
            retry=False,
        )
    )


def held_back_folders(session: TenantSession) -> HeldBackFolders | None:
    """Return how many folders of existing versions are held back; None if there are none."""
    table, versions = artifact_manifests, model_versions
    of_existing = and_(table.c.tenant_id == session.tenant_id, versions.c.deleted_at.is_(None))
    joined = table.join(versions, same_version(table, versions))
    location = table.c.manifest["location"].as_string()
    held_back, since, example = session.execute(
        select(func.count(table.c.location_md5.distinct()), func.min(table.c.held_back_since), func.min(location))
        .select_from(joined)
        .where(of_existing, table.c.held_back_since.is_not(None))
    ).one()
    if not held_back:
        return None
    total = session.scalar(select(func.count(table.c.location_md5.distinct())).select_from(joined).where(of_existing))
    return HeldBackFolders(held_back, total or held_back, since, example)


def readable_folders(session: TenantSession, store_root: str) -> list[ReadableFolder]:
    """Return each folder below a URI that had files when it was last read, the most recently read folder first."""
    table, versions = artifact_manifests, model_versions
    location = table.c.manifest["location"].as_string()
    rows = session.execute(
        select(
            location,
            versions.c.model_name,
            versions.c.version_number,
            RUN_ID,
            versions.c.logged_model_id,
            versions.c.incarnation,
            table.c.location_key,
        )
        .select_from(VERSIONS_WITH_LOGGED_MODELS.join(table, same_version(table, versions)))
        .where(
            table.c.tenant_id == session.tenant_id,
            versions.c.deleted_at.is_(None),
            table.c.held_back_since.is_(None),
            func.starts_with(location, f"{store_root.rstrip('/')}/"),
            func.jsonb_path_exists(cast(table.c.manifest, JSONB), cast('$.files[*] ? (@.root == "model")', JSONPATH)),
        )
        .order_by(table.c.read_at.desc(), versions.c.model_name, versions.c.version_number)
    )
    folders: dict[str, ReadableFolder] = {}
    for uri, name, number, *columns in rows:
        folders.setdefault(uri, ReadableFolder(uri, PendingManifest((name, number), *columns)))
    return list(folders.values())
