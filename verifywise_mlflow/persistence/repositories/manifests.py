"""Artifact manifests, as last read, and which versions have a manifest pending."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import and_, case, func, literal, or_, select, union_all, update

from verifywise_mlflow.artifacts.manifest import ArtifactManifest, ManifestGap
from verifywise_mlflow.artifacts.manifest_codec import manifest_from_json, manifest_to_json
from verifywise_mlflow.audit.state_leaf import State, content_hash
from verifywise_mlflow.common.value_object import value_object
from verifywise_mlflow.persistence.json_texts import JSON_AS_TEXT
from verifywise_mlflow.persistence.pg_text_codec import dumps, escape
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.repositories.tracked_objects import RUN_ID, VERSIONS_WITH_LOGGED_MODELS
from verifywise_mlflow.persistence.row_mapping import (
    Key,
    dicts_of,
    fingerprints,
    is_one_of,
    keys_of_versions,
    rows_by_key,
    rows_of,
    same_version,
    upsert,
)
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import manifest_content
from verifywise_mlflow.persistence.tables import (
    artifact_manifests,
    canonical_records,
    logged_models,
    model_versions,
    training_runs,
)

_PENDING = "PENDING_REGISTRATION"


@value_object
class RehashBefore:
    """The times before which a hash is stale. Older hashes are computed again."""

    production: datetime
    non_production: datetime


@value_object
class PendingManifest:
    """A version whose files must be listed."""

    key: Key
    run_id: str | None
    """The version's own run, or the run of its original or of its logged model."""
    logged_model_id: str | None
    incarnation: int
    location_key: str
    """A value that changes if the location, the status of the run or the settings for manifests change, or if another
    version takes the name and number."""
    is_empty_retry: bool = False
    """Whether the version is due only because the model's folder had no files: a listing of the folder shows whether it
    has files now."""


def pending_manifests(
    session: TenantSession,
    *,
    settings_digest: str,
    rehash_before: RehashBefore,
    retry_failed: bool,
    among: Collection[Key] | None = None,
) -> list[PendingManifest]:
    """Return the versions whose manifest is missing, has old hashes or another ``location_key``, or must be retried.

    Args:
        session: the tenant's session.
        settings_digest: a digest of the tenant's settings that change the content of a manifest.
        rehash_before: the times before which a hash is stale.
        retry_failed: also return versions whose manifest is held back, or is incomplete for a reason other than the
            tenant's limits.
        among: the versions to look at; None for all.

    Versions whose registration is pending are left out.
    """
    if among is not None and not among:
        return []
    versions, manifests, records = model_versions, artifact_manifests, canonical_records
    location_key = func.md5(
        func.concat(
            settings_digest,
            func.jsonb_build_array(
                func.coalesce(versions.c.origin_source, versions.c.source),
                RUN_ID,
                training_runs.c.artifact_uri,
                training_runs.c.status,
                logged_models.c.artifact_uri,
                versions.c.incarnation,
            ),
        )
    )
    joined = (
        VERSIONS_WITH_LOGGED_MODELS.outerjoin(
            training_runs,
            (training_runs.c.tenant_id == versions.c.tenant_id) & (training_runs.c.run_id == RUN_ID),
        )
        .outerjoin(
            manifests,
            (manifests.c.tenant_id == versions.c.tenant_id)
            & (manifests.c.model_name == versions.c.model_name)
            & (manifests.c.version_number == versions.c.version_number),
        )
        .outerjoin(
            # The records are from the last sync: this sync builds its records after the manifests.
            records,
            (records.c.tenant_id == versions.c.tenant_id)
            & (records.c.model_name == versions.c.model_name)
            & (records.c.version_number == versions.c.version_number),
        )
    )
    oldest = case(
        (records.c.lifecycle_stage == "production", rehash_before.production), else_=rehash_before.non_production
    )
    gap = manifests.c.manifest["gap"].as_string()
    is_held_back = manifests.c.held_back_since.is_not(None)
    is_due = [
        manifests.c.location_key.is_(None),
        manifests.c.location_key != location_key,
        manifests.c.retry,
        # Manifests that are held back cannot be hashed: without this exception, every sync during an outage would list
        # all folders.
        and_(manifests.c.hashed_at < oldest, ~is_held_back),
        and_(gap == ManifestGap.FAILED.value, ~is_held_back, literal(retry_failed)),
    ]
    is_empty = and_(or_(gap == ManifestGap.NO_FILES.value, is_held_back), literal(retry_failed))
    query = (
        select(
            versions.c.model_name,
            versions.c.version_number,
            RUN_ID,
            versions.c.logged_model_id,
            versions.c.incarnation,
            location_key,
            func.coalesce(~or_(*is_due), False),
        )
        .select_from(joined)
        .where(
            versions.c.tenant_id == session.tenant_id,
            versions.c.deleted_at.is_(None),
            # The files of a version that is being registered may still be uploading: with a manifest read now, files
            # that arrive later would count as changed.
            versions.c.status.is_distinct_from(_PENDING),
            or_(*is_due, is_empty),
        )
        .order_by(RUN_ID, versions.c.model_name, versions.c.version_number)
    )
    if among is not None:
        query = query.where(is_one_of(versions, among))
    return [PendingManifest((name, number), *columns) for name, number, *columns in session.execute(query)]


def manifests_to_retry(session: TenantSession) -> set[Key]:
    """Return the versions whose last read failed with a transient error."""
    table = artifact_manifests
    rows = session.execute(
        select(table.c.model_name, table.c.version_number).where(table.c.tenant_id == session.tenant_id, table.c.retry)
    )
    return {(name, number) for name, number in rows}


def manifests_with_old_hashes(session: TenantSession, rehash_before: RehashBefore) -> set[Key]:
    """Return the versions whose hashes may be stale, including the versions in production at the last sync."""
    table, records = artifact_manifests, canonical_records
    key = (table.c.model_name, table.c.version_number)
    is_hashed = and_(table.c.tenant_id == session.tenant_id, table.c.held_back_since.is_(None))
    in_production = (
        select(*key)
        .select_from(table.join(records, same_version(records, table)))
        .where(
            is_hashed,
            table.c.hashed_at < rehash_before.production,
            records.c.lifecycle_stage == "production",
            records.c.deleted_at.is_(None),
        )
    )
    others = select(*key).where(is_hashed, table.c.hashed_at < rehash_before.non_production)
    return {(name, number) for name, number in session.execute(union_all(in_production, others))}


@value_object
class ManifestReadResult:
    """The result of reading a manifest."""

    pending: PendingManifest
    manifest: ArtifactManifest
    fingerprint: str
    """The hash of the content, without the time of the read."""
    retry: bool
    hashed_at: datetime
    """When the oldest hash of the manifest was computed."""
    held_back_since: datetime | None = None
    """The time since which the empty folder counts as an outage of the store."""


def write_manifests(
    session: TenantSession, read: Sequence[ManifestReadResult], sync_id: str, now: datetime
) -> list[ManifestReadResult]:
    """Upsert and return the manifests that changed, and record that the other manifests were read."""
    before = fingerprints(session, artifact_manifests, [item.pending.key for item in read])
    changed = [item for item in read if before.get(item.pending.key) != item.fingerprint]
    same = [item for item in read if before.get(item.pending.key) == item.fingerprint]
    documents = [manifest_to_json(item.manifest) for item in changed]
    upsert(
        session,
        artifact_manifests,
        [
            {
                "tenant_id": session.tenant_id,
                "model_name": item.pending.key[0],
                "version_number": item.pending.key[1],
                "location_key": item.pending.location_key,
                "manifest": document,
                "retry": item.retry,
                "read_at": now,
                "hashed_at": item.hashed_at,
                "held_back_since": item.held_back_since,
                "fingerprint": item.fingerprint,
                "changed_at": now,
            }
            for item, document in zip(changed, documents, strict=True)
        ],
    )
    contents = [content_hash(manifest_content(dumps(document))) for document in documents]
    state_log.append(
        session,
        [
            State("manifest", escape(item.pending.key[0]), item.pending.key[1], "", now, sync_id, content)
            for item, content in zip(changed, contents, strict=True)
        ],
    )
    if same:
        _record_read(session, same, now)
    return changed


def _record_read(session: TenantSession, same: Sequence[ManifestReadResult], now: datetime) -> None:
    table = artifact_manifests
    columns: dict[str, Sequence[object]] = {
        "model_name": [item.pending.key[0] for item in same],
        "version_number": [item.pending.key[1] for item in same],
        "location_key": [item.pending.location_key for item in same],
        "hashed_at": [item.hashed_at for item in same],
        "retry": [item.retry for item in same],
        "held_back_since": [item.held_back_since for item in same],
    }
    read = rows_of(table, columns)
    session.execute(
        update(table)
        .where(
            table.c.tenant_id == session.tenant_id,
            table.c.model_name == read.c.model_name,
            table.c.version_number == read.c.version_number,
        )
        .values(read_at=now, **{name: read.c[name] for name in columns if name not in table.primary_key.columns})
    )


@value_object
class StoredManifest:
    """A manifest from an earlier read."""

    manifest: ArtifactManifest
    read_at: datetime
    hashed_at: datetime
    held_back_since: datetime | None = None


def newest_at_locations(
    session: TenantSession, locations: Collection[str], since: datetime
) -> dict[str, StoredManifest]:
    """Return the manifest with the newest hashes at each location, if no hash was computed before ``since``."""
    table = artifact_manifests
    digests = [
        hashlib.md5(location.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        for location in locations
    ]
    rows = session.execute(
        select(table.c.manifest, table.c.read_at, table.c.hashed_at)
        .distinct(table.c.location_md5)
        .where(
            table.c.tenant_id == session.tenant_id,
            table.c.location_md5.in_(digests),
            table.c.hashed_at >= since,
            # After an outage, the files are read again: a restored store may have other bytes of the same size.
            table.c.held_back_since.is_(None),
        )
        .order_by(table.c.location_md5, table.c.hashed_at.desc())
    )
    newest = [StoredManifest(manifest_from_json(row.manifest), row.read_at, row.hashed_at) for row in rows]
    return {location: item for item in newest if (location := item.manifest.location) in locations and location}


def stored_manifests(session: TenantSession, keys: Collection[Key]) -> dict[Key, StoredManifest]:
    """Return the given versions' manifests."""
    columns = ("model_name", "version_number", "manifest", "read_at", "hashed_at", "held_back_since")
    rows = rows_by_key(session, artifact_manifests, keys_of_versions(keys), columns)
    return {
        (name, number): StoredManifest(manifest_from_json(manifest), *times) for name, number, manifest, *times in rows
    }


def manifest_by_key(session: TenantSession, key: Key) -> ArtifactManifest | None:
    """Return one version's manifest, or None."""
    stored = stored_manifests(session, [key]).get(key)
    return stored.manifest if stored else None


def manifest_rows(session: TenantSession, keys: Collection[Key]) -> dict[Key, Mapping[str, object]]:
    """Return the rows of the given versions' manifests, with their key and their JSON as text."""
    columns = ("model_name", "version_number", "manifest")
    rows = rows_by_key(session, artifact_manifests, keys_of_versions(keys), columns, JSON_AS_TEXT)
    return {(row["model_name"], row["version_number"]): row for row in dicts_of(rows)}
