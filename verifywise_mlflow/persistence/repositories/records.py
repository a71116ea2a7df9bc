"""Canonical records, and which records are pending because an input changed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import and_, any_, func, literal, or_, select, text, true, tuple_

from verifywise_mlflow.audit.state_leaf import State, content_bytes
from verifywise_mlflow.normalizer.normalized_record import NormalizedRecord
from verifywise_mlflow.normalizer.origin import Origin
from verifywise_mlflow.normalizer.prompt_links import PromptIndex, newest_revision
from verifywise_mlflow.normalizer.record import FIELDS
from verifywise_mlflow.normalizer.unread_object import ObjectKind
from verifywise_mlflow.persistence.bulk_upsert import upsert_columns
from verifywise_mlflow.persistence.byte_limit import limit_bytes
from verifywise_mlflow.persistence.json_texts import JSON_AS_TEXT
from verifywise_mlflow.persistence.pg_text_codec import Json, escape
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.repositories.tracked_objects import RUN_ID, VERSIONS_WITH_LOGGED_MODELS
from verifywise_mlflow.persistence.row_mapping import Key, Row, columns_of, fingerprints, is_one_of, upsert
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import RECORD_COLUMNS, record_content
from verifywise_mlflow.persistence.tables import (
    artifact_manifests,
    canonical_records,
    logged_models,
    model_versions,
    prompts,
    record_inputs,
    registered_models,
    training_runs,
)


@dataclass(frozen=True, slots=True)
class PendingRecord:
    """A version whose record must be built, with the revisions of its inputs."""

    key: Key
    version: Mapping[str, object]
    """The row of ``model_versions``, with JSON as text, and the selected revisions."""
    run_id: str | None
    logged_model_id: str | None
    revisions: Mapping[str, object]
    is_remapped: bool = False
    """Whether the mapping or the release has changed since the record was built. No MLflow server can change these
    two."""

    @property
    def deleted_at(self) -> datetime | None:
        """When the version was marked as deleted."""
        value = self.version["deleted_at"]
        return value if isinstance(value, datetime) else None


def pending_records(
    session: TenantSession,
    *,
    mapping_digest: str,
    after: Key | None,
    limit: int,
    among: Collection[Key] | None = None,
    with_other_prompts: Collection[Key] = (),
) -> list[PendingRecord]:
    """Return the next versions, sorted by key, whose record is older than one of its inputs or than the tombstone.

    Fewer than ``limit`` are returned if their rows are large. ``among`` are the versions to look at; None for all.
    ``with_other_prompts`` is the result of the function with this name.
    """
    if among is not None and not among:
        return []
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
    if with_other_prompts:
        is_outdated = and_(versions.c.deleted_at.is_(None), or_(is_outdated, is_one_of(versions, with_other_prompts)))
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
    if among is not None:
        query = query.where(is_one_of(versions, among))
    linked = (
        (training_runs, "run_id", "linked_run_id"),
        (logged_models, "model_id", "logged_model_id"),
        (registered_models, "model_name", "model_name"),
    )
    due = []
    for row in session.execute(limit_bytes(query, linked).execution_options(**JSON_AS_TEXT)).mappings():
        revisions = {name: row[f"now_{name}"] for name in now} | {"mapping_digest": mapping_digest}
        key = (row["model_name"], row["version_number"])
        is_remapped = row["built_with"] is not None and row["built_with"] != mapping_digest
        due.append(PendingRecord(key, dict(row), row["linked_run_id"], row["logged_model_id"], revisions, is_remapped))
    return due


def with_other_prompts(session: TenantSession) -> list[Key]:
    """Return the versions whose record was built from other states of the prompts that it names."""
    inputs = record_inputs
    # Without + 0, Postgres would scan all prompts, beginning with the newest prompt.
    newest = (
        select(func.max(prompts.c.revision + 0))
        .where(prompts.c.tenant_id == inputs.c.tenant_id, prompts.c.prompt_name == any_(inputs.c.prompt_names))
        .scalar_subquery()
    )
    rows = session.execute(
        select(inputs.c.model_name, inputs.c.version_number).where(
            inputs.c.tenant_id == session.tenant_id,
            inputs.c.prompt_names.is_not(None),
            inputs.c.prompt_revision.is_distinct_from(newest),
        )
    )
    return [(name, number) for name, number in rows]


def count_incomplete(session: TenantSession, kind: ObjectKind | None = None) -> int:
    """Return how many living versions have an incomplete record because an object of ``kind`` was not read.

    Without ``kind``, an object of any kind counts.
    """
    table = canonical_records
    is_incomplete = and_(
        table.c.tenant_id == session.tenant_id, table.c.deleted_at.is_(None), text("incomplete <> '[]'::jsonb")
    )
    of_kind = true() if kind is None else table.c.incomplete.op("@>")(literal([{"kind": kind}], Json))
    return session.scalar(select(func.count()).where(is_incomplete, of_kind)) or 0


@dataclass(frozen=True, slots=True)
class BuiltRecord:
    """A record that was just built, ready to be written.

    It is sent from one process to another, so it does not contain the version's row.
    """

    key: Key
    deleted_at: datetime | None
    revisions: Mapping[str, object]
    """The revisions of the record's inputs."""
    is_remapped: bool
    """The same as in ``PendingRecord``."""
    cells: Sequence[str | None]
    """The cells of the row, in the order of ``RECORD_COLUMNS``."""
    fingerprint: str
    """The hash of the record's content, as in the log of states."""
    size: int
    """The size of the content in bytes."""
    is_incomplete: bool

    @classmethod
    def of(
        cls, pending: PendingRecord, normalized: NormalizedRecord, registry_prompts: PromptIndex | None = None
    ) -> BuiltRecord:
        """Return a record ready to write. Slow work is done here, outside the database's transaction."""
        record, names = normalized.record, normalized.prompt_names
        values = (
            *(getattr(record, name) for name in FIELDS),
            {field: _origin_json(origin) for field, origin in normalized.origins.items()},
            [columns_of(unread) for unread in normalized.incomplete],
            [columns_of(finding) for finding in normalized.findings],
            pending.deleted_at,
        )
        content = record_content(dict(zip(RECORD_COLUMNS, values, strict=True)))
        text = content_bytes(content)
        return cls(
            pending.key,
            pending.deleted_at,
            {
                **pending.revisions,
                "prompt_names": names or None,
                "prompt_revision": newest_revision(names, registry_prompts),
            },
            pending.is_remapped,
            [*content.values()],
            hashlib.sha256(text).hexdigest(),
            len(text),
            is_incomplete=bool(normalized.incomplete),
        )


def _admit_all(changed: Sequence[BuiltRecord]) -> Sequence[BuiltRecord]:
    return changed


def write_records(
    session: TenantSession,
    built: Sequence[BuiltRecord],
    sync_id: str,
    now: datetime,
    admit: Callable[[Sequence[BuiltRecord]], Sequence[BuiltRecord]] = _admit_all,
) -> list[BuiltRecord]:
    """Upsert the records that changed, and the input revisions of all records that are not held back.

    Args:
        session: The tenant's transaction.
        built: The records.
        sync_id: The sync that writes them.
        now: The time of the write.
        admit: Takes the records whose former state would move to the history, and returns the records to write. The
            other records stay pending.

    Returns:
        The records that were written.
    """
    before = fingerprints(session, canonical_records, [record.key for record in built])
    former = [record for record in built if before.get(record.key, record.fingerprint) != record.fingerprint]
    admitted = {record.key for record in admit(former)} if former else set()
    held_back = {record.key for record in former} - admitted
    built = [record for record in built if record.key not in held_back]
    changed = [record for record in built if before.get(record.key) != record.fingerprint]
    if changed:
        common = {"tenant_id": session.tenant_id, "changed_at": now, "sync_id": sync_id}
        columns = dict(zip(RECORD_COLUMNS, zip(*(record.cells for record in changed), strict=True), strict=True))
        columns["fingerprint"] = tuple(record.fingerprint for record in changed)
        upsert_columns(session, canonical_records, columns, common)
        append_records(session, [(record.key, record.fingerprint) for record in changed], sync_id, now)
    write_input_revisions(session, built)
    return changed


def append_records(session: TenantSession, written: Sequence[tuple[Key, str]], sync_id: str, now: datetime) -> None:
    """Append records to the log of states, each with the hash of its content."""
    states = [State("record", escape(name), number, "", now, sync_id, content) for (name, number), content in written]
    state_log.append(session, states)


def write_input_revisions(session: TenantSession, processed: Sequence[BuiltRecord]) -> None:
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
    """Return an origin's fields. Empty fields, such as date and rule in most origins, are left out."""
    fields: Row = {"source": origin.source, "key": origin.key, "raw": origin.raw}
    for name in _OPTIONAL:
        if value := getattr(origin, name):
            fields[name] = value
    return fields


_REQUIRED: Final = ("source", "key", "raw")
_OPTIONAL: Final = tuple(field.name for field in dataclasses.fields(Origin) if field.name not in _REQUIRED)
