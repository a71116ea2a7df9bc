"""The tables of an export for a data warehouse: their columns, and the stored tables from which they are read.

Records, verdicts and badges are exported as states with the time in which they were valid. So a change adds rows, and
exported rows stay true, except that a state without an end gets an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnClause,
    ColumnElement,
    Date,
    DateTime,
    FromClause,
    Integer,
    Table,
    cast,
    column,
    func,
    true,
    type_coerce,
)
from sqlalchemy import Text as PlainText
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.types import TypeEngine

from verifywise_mlflow.compliance.badge import BADGE_WORDS
from verifywise_mlflow.normalizer.field_spec import FieldType
from verifywise_mlflow.normalizer.record import FIELD_SPECS
from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.state_contents import CELL_SEPARATOR
from verifywise_mlflow.persistence.state_tables import AGENTS, PROMPT_VERSIONS, StateTable
from verifywise_mlflow.persistence.tables import (
    artifact_manifests,
    audit_trail,
    canonical_record_history,
    canonical_records,
    compliance_badge_history,
    compliance_badges,
    integrity_events,
    lifecycle_events,
    version_verdict_history,
    version_verdicts,
    waivers,
)

ColumnType = Literal["text", "integer", "boolean", "time", "date", "json"]
"""``json`` is a text with JSON."""

STORED: Final = "stored"
"""The name that a query gives to the stored table."""

_Expressions = Mapping[str, ColumnElement[Any]]  # Any: columns of any type


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """A column of an exported table."""

    name: str
    type: ColumnType
    description: str


@dataclass(frozen=True, slots=True)
class ExportTable:
    """An exported table."""

    name: str
    description: str
    key: tuple[str, ...]
    """The columns that identify a row. If several rows have the same key, the row of the latest export is valid."""
    columns: tuple[ExportColumn, ...]
    sources: tuple[tuple[FromClause, _Expressions], ...]
    """The tables that rows are read from, each with its expressions by column name. A column without an expression is
    null."""


_FIELD_TYPES: Final[Mapping[FieldType, ColumnType]] = {
    FieldType.TEXT: "text",
    FieldType.INTEGER: "integer",
    FieldType.TIMESTAMP: "time",
    FieldType.JSON_OBJECT: "json",
    FieldType.JSON_LIST: "json",
}
_STORED_TYPES: Final[tuple[tuple[type[TypeEngine[Any]], ColumnType], ...]] = (
    (JSON, "json"),
    (DateTime, "time"),
    (Integer, "integer"),
    (Boolean, "boolean"),
)
_TENANT: Final = ExportColumn("tenant", "text", "The tenant's name in tenants.yaml.")
_MODEL: Final = ExportColumn("model_name", "text", "The registered model, as MLflow names it.")
_VERSION: Final = ExportColumn("version_number", "integer", "The version's number in MLflow.")
_SYNC: Final = ExportColumn("sync_id", "text", "The sync that wrote it, as in the audit trail; empty if none did.")
_SEEN: Final = ExportColumn("seen_at", "time", "When a sync saw it, UTC.")
_VALIDITY: Final = (
    ExportColumn("valid_from", "time", "Since when the state was valid, UTC."),
    _SYNC,
    ExportColumn("valid_to", "time", "Until when the state was valid, UTC; null for the current state."),
    ExportColumn("ended_by_sync_id", "text", "The sync that ended the state; null for the current state."),
)
_KEY: Final = ("tenant", "model_name", "version_number")


def _stored(table: Table, **renamed: str) -> tuple[FromClause, dict[str, ColumnElement[Any]]]:
    """Return a stored table with its columns: the columns in ``renamed`` under another name, and JSON as text."""
    source = table.alias(STORED)
    names = {"tenant_id": "tenant", **renamed}
    return source, {
        names.get(stored.name, stored.name): cast(stored, PlainText) if isinstance(stored.type, JSON) else stored
        for stored in source.c
    }


def _states(*tables: Table) -> tuple[tuple[FromClause, dict[str, ColumnElement[Any]]], ...]:
    """Return the table of current states and its history."""
    return tuple(_stored(table, changed_at="valid_from") for table in tables)


def _asset_table(name: str, description: str, assets: StateTable) -> ExportTable:
    """Return the table of assets beyond models, with the columns and descriptions of the stored table."""
    left_out = {"tenant_id", "fingerprint", "revision", "changed_at", "sync_id"}
    return ExportTable(
        name,
        description,
        ("tenant", *assets.key, "revision"),
        (
            _TENANT,
            *(
                ExportColumn(stored.name, _stored_type(stored.type), str(stored.doc))
                for stored in assets.table.c
                if stored.name not in left_out
            ),
            ExportColumn("revision", "integer", "Identifies the state. A later state has a higher number."),
            *_VALIDITY,
        ),
        _states(assets.table, assets.history),
    )


def _stored_type(stored: TypeEngine[Any]) -> ColumnType:
    for kind, exported in _STORED_TYPES:
        if isinstance(stored, kind):
            return exported
    return "text"


def _verdicts(table: Table) -> tuple[FromClause, dict[str, ColumnElement[Any]]]:
    """Return the verdicts in the rows of a table, one row for each verdict."""
    source, columns = _stored(table)
    cells: dict[str, ColumnClause[Any]] = {
        "rule_ids": column("rule_id", Text),
        "rule_versions": column("rule_version", PlainText),
        "verdicts": column("verdict", PlainText),
        "reasons": column("reason", Text),
        "values": column("values", PlainText),
        "policy_ids": column("policy_id", Text),
        "policy_versions": column("policy_version", Text),
        "evaluated_at": column("valid_from", DateTime(timezone=True)),
        "sync_ids": column("sync_id", Text),
        "origins": column("origins", PlainText),
        "thresholds": column("thresholds", PlainText),
        "days": column("day", PlainText),
        "input_hashes": column("input_hash", PlainText),
        "open_since": column("open_since", DateTime(timezone=True)),
    }
    arrays = (
        source.c[name]
        if isinstance(source.c[name].type, ARRAY)
        else func.string_to_array(source.c[name], CELL_SEPARATOR)
        for name in cells
    )
    rows = func.unnest(*arrays).table_valued(*cells.values(), name="verdict").render_derived()
    # A text whose only cell is empty is split into no cells.
    texts = {name: func.coalesce(rows.c[name], "") for name in ("reason", "policy_id", "policy_version", "input_hash")}
    return source.join(rows, true()), {
        **columns,
        **{cell.name: rows.c[cell.name] for cell in cells.values()},
        **texts,
        "rule_version": cast(rows.c.rule_version, Integer),
        "day": cast(func.nullif(rows.c.day, ""), Date),
    }


def _manifests() -> tuple[FromClause, dict[str, ColumnElement[Any]]]:
    source, columns = _stored(artifact_manifests)
    manifest = source.c.manifest
    count = func.json_array_length(manifest["files"])
    texts = {name: type_coerce(manifest[name].astext, Text) for name in ("location", "status", "reason", "digest")}
    return source, {**columns, **texts, "file_count": count}


def _files() -> tuple[FromClause, dict[str, ColumnElement[Any]]]:
    source, columns = _stored(artifact_manifests)
    elements = func.json_array_elements(source.c.manifest["files"]).table_valued(column("file", JSON), name="files")
    rows = elements.render_derived()
    file = rows.c.file
    texts = {name: type_coerce(file[name].astext, Text) for name in ("root", "path", "sha256", "kind", "note")}
    size = cast(file["size"].astext, BigInteger)
    return source.join(rows, true()), {**columns, **texts, "size": size, "manifest_revision": source.c.revision}


def _audit_entries() -> tuple[FromClause, dict[str, ColumnElement[Any]]]:
    source, columns = _stored(audit_trail)
    parts = cast(source.c.entry, JSONB)
    names = ("outcome", "object_kind", "object_name", "reason", "sync_id")
    texts = {name: type_coerce(parts[name].astext, PlainText()) for name in names}
    return source, {**columns, **texts, "occurred_at": cast(parts["occurred_at"].astext, DateTime(timezone=True))}


EXPORT_TABLES: Final = (
    ExportTable(
        "records",
        "The canonical records: each state that a version's record was in.",
        (*_KEY, "revision"),
        (
            _TENANT,
            *(ExportColumn(name, _FIELD_TYPES[spec.type], spec.description) for name, spec in FIELD_SPECS.items()),
            ExportColumn("origins", "json", "For each value, the tag, alias or attribute that it came from."),
            ExportColumn("incomplete", "json", "The objects that could not be read: kind, sentences, fields."),
            ExportColumn("findings", "json", "Values that look wrong, each with its kind and field."),
            ExportColumn("deleted_at", "time", "Since when MLflow no longer has the version, UTC; null while it does."),
            ExportColumn("revision", "integer", "Identifies the state. A later state has a higher number."),
            *_VALIDITY,
        ),
        _states(canonical_records, canonical_record_history),
    ),
    ExportTable(
        "verdicts",
        "The verdicts: each state that a rule's verdict on a version was in.",
        (*_KEY, "rule_id", "valid_from"),
        (
            *(_TENANT, _MODEL, _VERSION),
            ExportColumn("rule_id", "text", "The rule's ID in its policy."),
            ExportColumn("rule_version", "integer", "The version of the rule."),
            ExportColumn("verdict", "text", "pass, fail, not evidenced, not read, not applicable or error."),
            ExportColumn("reason", "text", "The reason for the verdict."),
            ExportColumn("values", "json", "The values that the rule read."),
            ExportColumn("origins", "json", "For each of these values, where it came from."),
            ExportColumn("thresholds", "json", "The thresholds that the rule used."),
            ExportColumn("day", "date", "The date that the rule used as today, if it depends on the date."),
            ExportColumn("policy_id", "text", "The policy that contains the rule."),
            ExportColumn("policy_version", "text", "The version of the policy that gave the verdict first."),
            ExportColumn("input_hash", "text", "SHA-256 of all inputs of the verdict."),
            ExportColumn("open_since", "time", "Since when a gap has been open, UTC, also while unread; else null."),
            *_VALIDITY,
        ),
        (_verdicts(version_verdicts), _verdicts(version_verdict_history)),
    ),
    ExportTable(
        "badges",
        "The badges: each state that a version's badge was in.",
        (*_KEY, "valid_from"),
        (
            *(_TENANT, _MODEL, _VERSION),
            ExportColumn("badge", "text", f"{BADGE_WORDS}."),
            ExportColumn("evaluated_at", "time", "When an evaluation last gave this badge, UTC."),
            ExportColumn("policy_digest", "text", "A digest of the policies of that evaluation."),
            *_VALIDITY,
        ),
        _states(compliance_badges, compliance_badge_history),
    ),
    _asset_table(
        "prompt_versions",
        "The versions of the registry's prompts, without their texts: each state that a version was in.",
        PROMPT_VERSIONS,
    ),
    _asset_table(
        "agents",
        "Logged models of the type agent, registered or not: each state that an agent was in.",
        AGENTS,
    ),
    ExportTable(
        "waivers",
        "Gaps that a person accepted, including waivers that have ended.",
        ("tenant", "waiver_id"),
        (
            _TENANT,
            ExportColumn("waiver_id", "integer", "Identifies the waiver."),
            ExportColumn("rule_id", "text", "The rule whose gaps are accepted."),
            ExportColumn("model", "text", "The model, or a pattern with * and ?."),
            ExportColumn("version_number", "integer", "The version; null for all versions."),
            ExportColumn("approver", "text", "Who accepted the gap."),
            ExportColumn("reason", "text", "Why."),
            ExportColumn("expires_on", "date", "The last day on which the waiver is in force, UTC."),
            ExportColumn("source", "text", "file or command."),
            ExportColumn("granted_at", "time", "When the waiver was recorded, UTC."),
            _SYNC,
            ExportColumn("ended_at", "time", "When its end was recorded, UTC; null if it was not."),
            ExportColumn("end_reason", "text", "withdrawn, expired or superseded."),
        ),
        (_stored(waivers),),
    ),
    ExportTable(
        "manifests",
        "What was last read of the files of each version.",
        _KEY,
        (
            *(_TENANT, _MODEL, _VERSION),
            ExportColumn("location", "text", "Where the files are."),
            ExportColumn("status", "text", "Whether all files were listed and hashed."),
            ExportColumn("reason", "text", "Why some were not; null if all were."),
            ExportColumn("digest", "text", "A hash over all paths and hashes; null if a file is not hashed."),
            ExportColumn("file_count", "integer", "The number of files that were listed."),
            ExportColumn("read_at", "time", "When the files were last listed, UTC."),
            ExportColumn("hashed_at", "time", "When the oldest of the hashes was computed, UTC."),
            ExportColumn("held_back_since", "time", "Since when an empty listing counts as an outage, UTC."),
            ExportColumn("revision", "integer", "Identifies this reading."),
        ),
        (_manifests(),),
    ),
    ExportTable(
        "files",
        "The files of each version. Current are those with the revision of the version's row in manifests.",
        (*_KEY, "manifest_revision", "root", "path"),
        (
            *(_TENANT, _MODEL, _VERSION),
            ExportColumn("manifest_revision", "integer", "The revision of the reading that listed the file."),
            ExportColumn("root", "text", "Whether the file belongs to the model or to the run."),
            ExportColumn("path", "text", "The path below that root."),
            ExportColumn("size", "integer", "Bytes; null if unknown."),
            ExportColumn("sha256", "text", "The hash of the content; null if it was not hashed."),
            ExportColumn("kind", "text", "What the file is, such as weights or model card."),
            ExportColumn("note", "text", "Why it was not hashed; null if it was."),
        ),
        (_files(),),
    ),
    ExportTable(
        "lifecycle_events",
        "Changes in the life of models and versions.",
        ("tenant", "event_id"),
        (
            *(_TENANT, ExportColumn("event_id", "integer", "Identifies the event."), _MODEL),
            ExportColumn("version_number", "integer", "The version; null for an event of the model."),
            ExportColumn("incarnation", "integer", "Counts the objects that have had this name and number."),
            ExportColumn("kind", "text", "What happened."),
            ExportColumn("alias", "text", "The alias that was moved."),
            ExportColumn("previous", "text", "The former stage, or the former version of the alias."),
            ExportColumn("value", "text", "The new one."),
            ExportColumn("happened_at", "time", "When it happened, UTC; null if MLflow does not say."),
            *(_SEEN, _SYNC),
        ),
        (_stored(lifecycle_events),),
    ),
    ExportTable(
        "integrity_events",
        "Files whose bytes changed under an unchanged version.",
        ("tenant", "event_id"),
        (
            *(_TENANT, ExportColumn("event_id", "integer", "Identifies the event."), _MODEL, _VERSION),
            ExportColumn("incarnation", "integer", "Counts the versions that have had this name and number."),
            ExportColumn("location", "text", "Where the files are."),
            ExportColumn("kind", "text", "Whether the file was changed, added or removed."),
            ExportColumn("root", "text", "Whether the file belongs to the model or to the run."),
            ExportColumn("path", "text", "The path below that root."),
            ExportColumn("former_sha256", "text", "The former hash."),
            ExportColumn("sha256", "text", "The new hash."),
            ExportColumn("former_size", "integer", "The former size in bytes."),
            ExportColumn("size", "integer", "The new size in bytes."),
            ExportColumn("former_read_at", "time", "When the former hash was computed, UTC."),
            *(_SEEN, _SYNC),
        ),
        (_stored(integrity_events),),
    ),
    ExportTable(
        "audit_entries",
        "The entries of the audit trail.",
        ("tenant", "sequence"),
        (
            _TENANT,
            ExportColumn("sequence", "integer", "The entry's place in the chain."),
            ExportColumn("occurred_at", "time", "When it was written, UTC."),
            ExportColumn("kind", "text", "What happened."),
            ExportColumn("outcome", "text", "How it ended."),
            ExportColumn("object_kind", "text", "The kind of object that it is about."),
            ExportColumn("object_name", "text", "The object that it is about."),
            ExportColumn("reason", "text", "Why."),
            ExportColumn("sync_id", "text", "The sync that it belongs to."),
            ExportColumn("entry", "text", "The whole entry as canonical JSON: the bytes that were hashed."),
            ExportColumn("entry_hash", "text", "The hash that the next entry contains."),
        ),
        (_audit_entries(),),
    ),
)
"""The tables, in the order in which they are exported."""
