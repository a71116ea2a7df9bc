"""The records that have an evaluation pending, and the current verdicts on records."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ARRAY, Column, ColumnElement, Text, and_, case, cast, or_, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB

from verifywise_mlflow.compliance.rules.cel_variables import Subject
from verifywise_mlflow.compliance.rules.field_paths import (
    END_OF_LIFE,
    MEASURES,
    MODEL_VERSIONS,
    VULNERABILITIES,
    Selection,
)
from verifywise_mlflow.compliance.rules.versions_in_use import VersionsInUse
from verifywise_mlflow.normalizer.record import FIELDS, CanonicalRecord
from verifywise_mlflow.normalizer.unread_object import unread_objects_from_json
from verifywise_mlflow.persistence.byte_limit import limit_bytes
from verifywise_mlflow.persistence.json_texts import JSON_AS_TEXT, parsed_row
from verifywise_mlflow.persistence.repositories.versions_in_use import digests_by_model, is_in_use, versions_in_use
from verifywise_mlflow.persistence.row_mapping import Key, is_one_of, same_version, to_floats
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import canonical_records, compliance_badges, version_verdicts


@dataclass(frozen=True, slots=True)
class PendingEvaluation:
    """A record to evaluate."""

    key: Key
    """The version's model name and number."""
    row: Mapping[str, object]
    """The columns that the rules use, with JSON as text, since sending objects to another process costs much more."""
    in_use: VersionsInUse | None
    """The model's versions in use, if a rule reads them."""
    revision: int
    present: Mapping[str, str]
    """The fingerprint of the record's stored verdict by rule."""
    versions_digest: str | None = None
    """A digest of the model's versions in use, if this version is in use."""
    is_new_state: bool = True
    """Whether the record or the policy has changed since the record's last evaluation. A change of other versions, or
    another day, does not count."""

    def subject(self) -> Subject:
        """Return the values that the rules use; null for a field that no rule uses."""
        return subject_from_row(parsed_row(canonical_records, self.row), self.in_use)


_LARGE: Final[Mapping[str, tuple[str, ...]]] = {
    "artifact_manifest": ("files", "changed_in_place"),
    "runtime_environment": ("packages",),
}
"""The members of fields that have most of a record's bytes. They are loaded only if a rule uses them."""
_FIELDS_BEHIND: Final = {
    MEASURES: ("metrics",),
    MODEL_VERSIONS: ("lifecycle_stage", "deployment_status"),
    VULNERABILITIES: ("runtime_environment",),
    END_OF_LIFE: ("runtime_environment",),
}
"""The fields that a variable is computed from."""


def pending_evaluations(
    session: TenantSession,
    *,
    policy_digest: str,
    after: Key | None,
    limit: int,
    evaluated_since: datetime | None = None,
    selection: Selection | None = None,
    among: Collection[Key] | None = None,
) -> list[PendingEvaluation]:
    """Return the next records, sorted by key, whose current state these policies have not evaluated.

    A withdrawn record is returned only if no policy has evaluated its content.

    Args:
        session: the tenant's session.
        policy_digest: a digest of the policies; records with another digest are pending.
        after: the last key of the previous page.
        limit: the maximum number of records to return; fewer are returned if the records are large.
        evaluated_since: records that were evaluated earlier are pending too, for rules that depend on the day.
        selection: the fields that the rules use; all by default. If the rules use the model's versions in use, a change
            of these versions makes a record pending.
        among: the versions to look at; None for all.
    """
    if among is not None and not among:
        return []
    records, badges = canonical_records, compliance_badges
    same_version = _badge_of_record(after)
    is_outdated = [badges.c.policy_digest.is_distinct_from(policy_digest)]
    if evaluated_since is not None:
        is_outdated.append(badges.c.evaluated_at < evaluated_since)
    models = None if among is None else {name for name, _ in among}
    digests = digests_by_model(session.tenant_id, after[0] if after else None, models)
    versions_digest = case((is_in_use(records), digests.c.digest))
    if reads_versions(selection):
        is_outdated.append(badges.c.versions_digest.is_distinct_from(versions_digest))
    is_changed = badges.c.record_revision.is_distinct_from(records.c.revision)
    is_new_state = or_(is_changed, badges.c.policy_digest.is_distinct_from(policy_digest))
    # A withdrawn record keeps its last verdicts, under any later policy.
    is_due = or_(
        is_changed,
        and_(records.c.deleted_at.is_(None), or_(*is_outdated)),
    )
    query = (
        select(
            *_selected_columns(selection),
            records.c.incomplete,
            records.c.findings,
            records.c.origins,
            records.c.revision,
            versions_digest.label("versions_digest"),
            is_new_state.label("is_new_state"),
        )
        .select_from(
            records.outerjoin(badges, same_version).outerjoin(digests, digests.c.model_name == records.c.model_name)
        )
        .where(records.c.tenant_id == session.tenant_id, is_due)
        .order_by(records.c.model_name, records.c.version_number)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(records.c.model_name, records.c.version_number) > after)
    if among is not None:
        query = query.where(is_one_of(records, among))
    rows = session.execute(limit_bytes(query).execution_options(**JSON_AS_TEXT)).mappings().all()
    keys = [(row["model_name"], row["version_number"]) for row in rows]
    present = _elements(session, keys, version_verdicts.c.fingerprints)
    in_use = _versions_in_use(session, keys, selection)
    return [
        PendingEvaluation(
            key,
            dict(row),
            in_use.get(key[0]),
            row["revision"],
            present.get(key, {}),
            row["versions_digest"],
            row["is_new_state"],
        )
        for key, row in zip(keys, rows, strict=True)
    ]


def reads_versions(selection: Selection | None) -> bool:
    """Return whether a rule reads the model's other versions."""
    return selection is None or MODEL_VERSIONS in selection


def _versions_in_use(
    session: TenantSession, keys: Sequence[Key], selection: Selection | None
) -> Mapping[str, VersionsInUse]:
    models = {name for name, _ in keys}
    return versions_in_use(session, models) if models and reads_versions(selection) else {}


def _badge_of_record(after: Key | None) -> ColumnElement[bool]:
    """Return the join condition of a badge and its record, for keys after `after` if a key is given.

    The key also limits the badges: otherwise each batch scans all badges before its first key again.
    """
    records, badges = canonical_records, compliance_badges
    same = same_version(badges, records)
    return same if after is None else and_(same, tuple_(badges.c.model_name, badges.c.version_number) > after)


@dataclass(frozen=True, slots=True)
class EvaluatedRecord:
    """A living record with its current verdicts."""

    evaluation: PendingEvaluation
    verdicts: Mapping[str, str]
    """Rule id to verdict."""
    badge: str | None
    is_current: bool
    """Whether the record is unchanged since its evaluation."""


def evaluated_records(
    session: TenantSession, *, after: Key | None, limit: int, selection: Selection
) -> list[EvaluatedRecord]:
    """Return the next living records, sorted by key, with their current verdicts."""
    records, badges, stored = canonical_records, compliance_badges, version_verdicts
    same_version = _badge_of_record(after)
    query = (
        select(
            *_selected_columns(selection),
            *(records.c.incomplete, records.c.findings, records.c.origins, records.c.revision),
            *(badges.c.badge, badges.c.record_revision),
        )
        .select_from(records.outerjoin(badges, same_version))
        .where(records.c.tenant_id == session.tenant_id, records.c.deleted_at.is_(None))
        .order_by(records.c.model_name, records.c.version_number)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(records.c.model_name, records.c.version_number) > after)
    rows = session.execute(query.execution_options(**JSON_AS_TEXT)).mappings().all()
    keys = [(row["model_name"], row["version_number"]) for row in rows]
    verdicts = _elements(session, keys, stored.c.verdicts)
    in_use = _versions_in_use(session, keys, selection)
    return [
        EvaluatedRecord(
            PendingEvaluation(key, dict(row), in_use.get(key[0]), row["revision"], {}),
            verdicts.get(key, {}),
            row["badge"],
            is_current=row["record_revision"] == row["revision"],
        )
        for key, row in zip(keys, rows, strict=True)
    ]


def _selected_columns(selection: Selection | None) -> Iterator[ColumnElement[object]]:
    """Yield the record's columns that rules use. Of large values, yield only the members that rules use."""
    used_fields = dict.fromkeys(FIELDS) if selection is None else selection | (selection.get("stated") or {})
    for variable, fields in _FIELDS_BEHIND.items():
        if variable in used_fields:
            used_fields |= dict.fromkeys(fields)
    for field in FIELDS:
        column = canonical_records.c[field]
        if field in used_fields or column.primary_key:
            members = (selection or {}).get(field)
            is_stated = selection is not None and field in (selection.get("stated") or {})
            if field == "runtime_environment" and VULNERABILITIES in used_fields:
                members = {**(members or {}), "packages": None}
            unseen = [name for name in _LARGE.get(field, ()) if members and name not in members]
            selected: ColumnElement[object] = column
            if unseen and not is_stated:
                selected = cast(column, JSONB).op("-", return_type=JSONB())(cast(unseen, ARRAY(Text)))
            yield selected.label(field)


def subject_from_row(row: Mapping[str, object], in_use: VersionsInUse | None = None) -> Subject:
    """Return the rules' input from a row of ``canonical_records``. Fields of the record that the row lacks are null."""
    return Subject(
        canonical_record(row),
        unread_objects_from_json(row["incomplete"]),  # type: ignore[arg-type]  # as records.write_records wrote them
        row["findings"],  # type: ignore[arg-type]
        row["origins"],  # type: ignore[arg-type]
        versions=in_use,
    )


def canonical_record(row: Mapping[str, object]) -> CanonicalRecord:
    """Return the record in a row of ``canonical_records``. Columns that the row lacks are null."""
    values = {field: row.get(field) for field in FIELDS}
    if values["metrics"] is not None:
        values["metrics"] = to_floats(values["metrics"])
    return CanonicalRecord(**values)  # type: ignore[arg-type]  # the columns are the record's fields


def _elements(session: TenantSession, keys: Sequence[Key], column: Column[list[str]]) -> dict[Key, dict[str, str]]:
    """Return an element of each stored verdict on the versions, by rule."""
    stored = version_verdicts
    query = select(stored.c.model_name, stored.c.version_number, stored.c.rule_ids, column).where(
        stored.c.tenant_id == session.tenant_id, is_one_of(stored, keys)
    )
    return {
        (name, number): dict(zip(rule_ids, cells, strict=True))
        for name, number, rule_ids, cells in session.execute(query)
    }
