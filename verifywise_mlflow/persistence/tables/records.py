"""The canonical records, their history, and the revisions of the rows that each record was built from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, Table, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from verifywise_mlflow.normalizer.field_spec import FieldSpec, FieldType
from verifywise_mlflow.normalizer.record import FIELD_SPECS
from verifywise_mlflow.persistence.pg_text_codec import Json, JsonDocument, Text
from verifywise_mlflow.persistence.tables.columns import (
    end_columns,
    key_column,
    revision_index,
    time_column,
    version_key_columns,
)
from verifywise_mlflow.persistence.tables.schema import metadata, revisions

_COLUMN_TYPES: Final[Mapping[FieldType, TypeEngine[Any]]] = {
    FieldType.TEXT: Text(),
    FieldType.INTEGER: Integer(),
    FieldType.TIMESTAMP: DateTime(timezone=True),
    FieldType.JSON_OBJECT: JsonDocument,
    FieldType.JSON_LIST: Json,
}


def _field_column(name: str, spec: FieldSpec) -> Column[Any]:
    return Column(name, _COLUMN_TYPES[spec.type], primary_key=spec.is_key, autoincrement=False, doc=spec.description)


def _record_columns() -> tuple[Column[Any], ...]:
    return (
        key_column("tenant_id", doc="The tenant's name in tenants.yaml."),
        *(_field_column(name, spec) for name, spec in FIELD_SPECS.items()),
        # Provenance and quality
        Column(
            "origins",
            JsonDocument,
            nullable=False,
            doc="Provenance: for each value, the tag, alias or attribute that it came from, with its original text.",
        ),
        Column("incomplete", Json, nullable=False, doc="The objects that could not be read: kind, sentences, fields."),
        Column("findings", JsonDocument, nullable=False, doc="Values that look wrong, each with its kind and field."),
        time_column(
            "deleted_at", doc="Tombstone: since when MLflow no longer has the object, UTC; null while it exists."
        ),
        Column("fingerprint", Text, nullable=False, doc="SHA-256 of the content, by which a sync finds a change."),
    )


canonical_records = Table(
    "canonical_records",
    metadata,
    *_record_columns(),
    Column(
        "revision",
        BigInteger,
        nullable=False,
        server_default=revisions.next_value(),
        doc="A number from a sequence, new with each write of the content. Later stages process newer revisions.",
    ),
    time_column("changed_at", nullable=False, doc="When the content was last written, UTC."),
    Column("sync_id", Text, nullable=False, doc="The sync that wrote the row, as in the audit trail."),
    Index("canonical_records_by_change", "tenant_id", "changed_at"),
    revision_index("canonical_records"),
    Index(
        "canonical_records_deleted",
        *("tenant_id", "model_name", "version_number"),
        postgresql_where=text("deleted_at IS NOT NULL"),
    ),
    Index(
        "canonical_records_incomplete",
        "tenant_id",
        postgresql_where=text("deleted_at IS NULL AND incomplete <> '[]'::jsonb"),
    ),
    Index(
        "canonical_records_in_use",
        *("tenant_id", "model_name", "version_number"),
        postgresql_include=["lifecycle_stage", "deployment_status"],
        postgresql_where=text(
            "deleted_at IS NULL AND (lifecycle_stage IN ('production', 'staging') "
            "OR deployment_status IN ('deployed', 'partly_deployed'))"
        ),
    ),
)

canonical_record_history = Table(
    "canonical_record_history",
    metadata,
    *_record_columns(),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    time_column("changed_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    *end_columns(),
    Index("canonical_record_history_by_begin", "tenant_id", "changed_at"),
    Index("canonical_record_history_by_end", "tenant_id", "valid_to"),
)
"""A trigger writes this table, like the other histories."""

record_inputs = Table(
    "record_inputs",
    metadata,
    *version_key_columns(),
    Column("model_revision", BigInteger),
    Column("version_revision", BigInteger, nullable=False),
    Column("run_revision", BigInteger),
    Column("logged_model_revision", BigInteger),
    Column("manifest_revision", BigInteger),
    Column("prompt_names", ARRAY(Text)),
    Column("prompt_revision", BigInteger),
    Column("mapping_digest", Text, nullable=False),
    Index(
        "record_inputs_with_prompts",
        *("tenant_id", "model_name", "version_number"),
        postgresql_where=text("prompt_names IS NOT NULL"),
    ),
)
