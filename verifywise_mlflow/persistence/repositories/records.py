"""Canonical records, and which are pending because an input changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, literal, or_, select, text, true, tuple_

from verifywise_mlflow.normalizer.record import NormalizedRecord, Origin
from verifywise_mlflow.normalizer.unread_object import ObjectKind
from verifywise_mlflow.persistence.byte_limit import limit_bytes
from verifywise_mlflow.persistence.pg_text_codec import Json
from verifywise_mlflow.persistence.repositories.tracked_objects import RUN_ID, VERSIONS_WITH_LOGGED_MODELS
from verifywise_mlflow.persistence.row_mapping import Key, Row, columns_of, fingerprints, upsert
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import (
    artifact_manifests,
    canonical_records,
    logged_models,
    model_versions,
    record_inputs,
    registered_models,
    training_runs,
)


@dataclass(frozen=True, slots=True)
class PendingRecord:
    """A version whose record must be built, with the revisions of its inputs."""

    key: Key
    version: Mapping[str, object]
    """The row of ``model_versions``."""
    run_id: str | None
    logged_model_id: str | None
    revisions: Mapping[str, object]
    is_remapped: bool = False
    """Whether the mapping or the release has changed since the record was built: nothing that a server decides."""

    @property
    def deleted_at(self) -> datetime | None:
        """When its version was marked as deleted."""
        value = self.version["deleted_at"]
        return value if isinstance(value, datetime) else None


def pending_records(
    session: TenantSession, *, mapping_digest: str, after: Key | None, limit: int
) -> list[PendingRecord]:
    """Return the next versions, sorted by key, whose record is older than one of its inputs or than their tombstone.

    There are fewer than ``limit`` if their rows are large.
    """
    versions, inputs = model_versions, record_inputs
    same_version = and_(
        inputs.c.tenant_id == versions.c.tenant_id,
        inputs.c.model_name == versions.c.model_name,
        inputs.c.version_number == versions.c.version_number,
    )
    joined = (
        VERSIONS_WITH_LOGGED_MODELS.outerjoin(
            registered_models,
            (registered_models.c.tenant_id == versions.c.tenant_id)
            & (registered_models.c.model_name == versions.c.model_name),
        )
        .outerjoin(
            training_runs,
            (training_runs.c.tenant_id == versions.c.tenant_id) & (training_runs.c.run_id == RUN_ID),
        )
        .outerjoin(
            artifact_manifests,
            (artifact_manifests.c.tenant_id == versions.c.tenant_id)
            & (artifact_manifests.c.model_name == versions.c.model_name)
            & (artifact_manifests.c.version_number == versions.c.version_number),
        )
        .outerjoin(inputs, same_version)
    )
    now = {
        "model_revision": registered_models.c.revision,
        "version_revision": versions.c.revision,
        "run_revision": training_runs.c.revision,
        "logged_model_revision": logged_models.c.revision,
        "manifest_revision": artifact_manifests.c.revision,
    }
    differs = {name: inputs.c[name].is_distinct_from(revision) for name, revision in now.items()}
    # A deleted version is pending once, for its tombstone. Afterwards no other input may change its record.
    is_outdated = and_(
        versions.c.deleted_at.is_(None),
        or_(inputs.c.mapping_digest.is_distinct_from(mapping_digest), *differs.values()),
    )
    query = (
        select(
            versions,
            RUN_ID.label("linked_run_id"),
            inputs.c.mapping_digest.label("built_with"),
            *(revision.label(f"now_{name}") for name, revision in now.items()),
        )
        .select_from(joined)
        .where(
            versions.c.tenant_id == session.tenant_id,
            or_(differs["version_revision"], is_outdated),
        )
        .order_by(versions.c.model_name, versions.c.version_number)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(versions.c.model_name, versions.c.version_number) > after)
    linked = (
        (training_runs, "run_id", "linked_run_id"),
        (logged_models, "model_id", "logged_model_id"),
        (registered_models, "model_name", "model_name"),
    )
    due = []
    for row in session.execute(limit_bytes(query, linked)).mappings():
        revisions = {name: row[f"now_{name}"] for name in now} | {"mapping_digest": mapping_digest}
        key = (row["model_name"], row["version_number"])
        is_remapped = row["built_with"] is not None and row["built_with"] != mapping_digest
        due.append(PendingRecord(key, dict(row), row["linked_run_id"], row["logged_model_id"], revisions, is_remapped))
    return due


def count_incomplete(session: TenantSession, kind: ObjectKind | None = None) -> int:
    """Return how many living versions have an incomplete record, for want of any object or of one kind."""
    table = canonical_records
    is_incomplete = and_(
        table.c.tenant_id == session.tenant_id, table.c.deleted_at.is_(None), text("incomplete <> '[]'::jsonb")
    )
    of_kind = true() if kind is None else table.c.incomplete.op("@>")(literal([{"kind": kind}], Json))
    return session.scalar(select(func.count()).where(is_incomplete, of_kind)) or 0


@dataclass(frozen=True, slots=True)
class BuiltRecord:
    """A record that was just built."""

    pending: PendingRecord
    normalized: NormalizedRecord
    fingerprint: str
    size: int = 0
    """Bytes of the record's canonical JSON."""


def _admit_all(changed: Sequence[BuiltRecord]) -> Sequence[BuiltRecord]:
    return changed


def write_records(
    session: TenantSession,
    built: Sequence[BuiltRecord],
    sync_id: str,
    now: datetime,
    admit: Callable[[Sequence[BuiltRecord]], Sequence[BuiltRecord]] = _admit_all,
) -> list[BuiltRecord]:
    """Upsert the records that changed, and the input revisions of all that are not held back.

    Args:
        session: The tenant's transaction.
        built: The records.
        sync_id: The sync that writes them.
        now: When it does.
        admit: Takes the records whose former state would move to the history; returns those to write. The others stay
            pending.

    Returns:
        The records that were written.
    """
    before = fingerprints(session, canonical_records, [record.pending.key for record in built])
    former = [record for record in built if before.get(record.pending.key, record.fingerprint) != record.fingerprint]
    admitted = {record.pending.key for record in admit(former)} if former else set()
    held_back = {record.pending.key for record in former} - admitted
    built = [record for record in built if record.pending.key not in held_back]
    changed = [record for record in built if before.get(record.pending.key) != record.fingerprint]
    rows: list[Row] = [
        {
            **columns_of(record.normalized.record),
            "tenant_id": session.tenant_id,
            "origins": {field: _origin_json(origin) for field, origin in record.normalized.origins.items()},
            "incomplete": [columns_of(unread) for unread in record.normalized.incomplete],
            "findings": [columns_of(finding) for finding in record.normalized.findings],
            "deleted_at": record.pending.deleted_at,
            "fingerprint": record.fingerprint,
            "changed_at": now,
            "sync_id": sync_id,
        }
        for record in changed
    ]
    upsert(session, canonical_records, rows)
    write_input_revisions(session, [record.pending for record in built])
    return changed


def write_input_revisions(session: TenantSession, processed: Sequence[PendingRecord]) -> None:
    """Upsert the input revisions of records, which are then no longer pending."""
    upsert(
        session,
        record_inputs,
        [
            {
                "tenant_id": session.tenant_id,
                "model_name": record.key[0],
                "version_number": record.key[1],
                **record.revisions,
            }
            for record in processed
        ],
    )


def _origin_json(origin: Origin) -> Row:
    """Return an origin's fields. A date, a rule and the like are left out if there is none, as in most origins."""
    return {name: value for name, value in columns_of(origin).items() if value or name == "raw"}
