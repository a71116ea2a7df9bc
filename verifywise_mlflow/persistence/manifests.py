"""Artifact manifests, as last read, and which versions are due for one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, or_, select, tuple_, update

from verifywise_mlflow.artifacts.manifest import ArtifactManifest
from verifywise_mlflow.artifacts.manifest_codec import manifest_to_json
from verifywise_mlflow.persistence.rows import Key, fingerprints, upsert
from verifywise_mlflow.persistence.tables import artifact_manifests, logged_models, model_versions, training_runs


@dataclass(frozen=True, slots=True)
class DueManifest:
    """A version whose files are to be listed."""

    key: Key
    run_id: str | None
    logged_model_id: str | None
    location_key: str
    """Tells when the place of the files, or whether the run may still write there, has changed."""


def due_manifests(
    connection: Connection,
    tenant_id: str,
    *,
    settings_digest: str,
    rehash_before: datetime,
    retry_failed: bool,
) -> list[DueManifest]:
    """Return the versions whose manifest is missing, made of another place, failed in passing, or old.

    ``settings_digest`` stands for the tenant's settings that change what a manifest holds.
    """
    versions, manifests = model_versions, artifact_manifests
    location_key = func.md5(
        func.concat(
            settings_digest,
            func.jsonb_build_array(
                versions.c.source,
                versions.c.run_id,
                training_runs.c.artifact_uri,
                training_runs.c.status,
                logged_models.c.artifact_uri,
            ),
        )
    )
    joined = (
        versions.outerjoin(
            training_runs,
            (training_runs.c.tenant_id == versions.c.tenant_id) & (training_runs.c.run_id == versions.c.run_id),
        )
        .outerjoin(
            logged_models,
            (logged_models.c.tenant_id == versions.c.tenant_id)
            & (logged_models.c.model_id == versions.c.logged_model_id),
        )
        .outerjoin(
            manifests,
            (manifests.c.tenant_id == versions.c.tenant_id)
            & (manifests.c.model_name == versions.c.model_name)
            & (manifests.c.version_number == versions.c.version_number),
        )
    )
    is_due = [
        manifests.c.location_key.is_(None),
        manifests.c.location_key != location_key,
        manifests.c.retry,
        manifests.c.read_at < rehash_before,
    ]
    if retry_failed:
        is_due.append(manifests.c.manifest["status"].as_string() != "complete")
    rows = connection.execute(
        select(
            versions.c.model_name,
            versions.c.version_number,
            versions.c.run_id,
            versions.c.logged_model_id,
            location_key,
        )
        .select_from(joined)
        .where(versions.c.tenant_id == tenant_id, versions.c.gone_at.is_(None), or_(*is_due))
        .order_by(versions.c.run_id, versions.c.model_name, versions.c.version_number)
    )
    return [DueManifest((name, number), *rest) for name, number, *rest in rows]


@dataclass(frozen=True, slots=True)
class ReadManifest:
    """A manifest as it was just read."""

    due: DueManifest
    manifest: ArtifactManifest
    fingerprint: str
    """Of what it says, without when it was read."""
    retry: bool


def write_manifests(
    connection: Connection, tenant_id: str, read: Sequence[ReadManifest], now: datetime
) -> list[ReadManifest]:
    """Write the manifests that differ and note the reading of the others; return those that differed."""
    before = fingerprints(connection, artifact_manifests, tenant_id, [item.due.key for item in read])
    changed = [item for item in read if before.get(item.due.key) != item.fingerprint]
    same = [item for item in read if before.get(item.due.key) == item.fingerprint]
    upsert(
        connection,
        artifact_manifests,
        [
            {
                "tenant_id": tenant_id,
                "model_name": item.due.key[0],
                "version_number": item.due.key[1],
                "location_key": item.due.location_key,
                "manifest": manifest_to_json(item.manifest),
                "retry": item.retry,
                "read_at": now,
                "fingerprint": item.fingerprint,
                "changed_at": now,
            }
            for item in changed
        ],
    )
    table = artifact_manifests
    for item in same:
        connection.execute(
            update(table)
            .where(
                table.c.tenant_id == tenant_id,
                table.c.model_name == item.due.key[0],
                table.c.version_number == item.due.key[1],
            )
            .values(read_at=now, location_key=item.due.location_key, retry=item.retry)
        )
    return changed


def manifests_by_key(connection: Connection, tenant_id: str, keys: Collection[Key]) -> dict[Key, Mapping[str, object]]:
    """Return the rows of the given versions' manifests."""
    table = artifact_manifests
    rows = connection.execute(
        select(table).where(
            table.c.tenant_id == tenant_id, tuple_(table.c.model_name, table.c.version_number).in_(keys)
        )
    ).mappings()
    return {(str(row["model_name"]), int(row["version_number"])): dict(row) for row in rows}
