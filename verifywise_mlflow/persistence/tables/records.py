"""The canonical records, their history, and which rows each was built from."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, Table, text

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.columns import by_revision, ended, key, time, version_key
from verifywise_mlflow.persistence.tables.schema import metadata, revisions


def _record_columns() -> tuple[Column[Any], ...]:
    return (
        key("tenant_id"),
        # Identity
        key("model_name"),
        Column("description", Text),
        Column("business_purpose", Text),
        Column("owner", Text),
        # Version and lifecycle
        Column("version_number", Integer, primary_key=True, autoincrement=False),
        Column("lifecycle_stage", Text),
        time("created_at"),
        time("last_updated_at"),
        Column("deployment_status", Text),
        Column("source_run_id", Text),
        Column("source_artifact_uri", Text),
        # Training and evaluation
        Column("training_status", Text),
        time("training_started_at"),
        time("training_ended_at"),
        Column("metrics", Json),
        Column("hyperparameters", Json),
        Column("evaluation_tags", Json),
        # Lineage
        Column("experiment_id", Text),
        Column("experiment_name", Text),
        Column("code_commit", Text),
        Column("training_entrypoint", Text),
        Column("dataset_reference", Json),
        Column("artifact_uri", Text),
        # Risk and compliance
        Column("risk_category", Text),
        Column("regulatory_scope", Text),
        Column("data_sensitivity", Text),
        Column("privacy_assessment_status", Text),
        Column("compliance_approver", Text),
        Column("security_assessment_version", Text),
        # Artifacts and environment
        Column("runtime_environment", Json),
        Column("artifact_manifest", Json),
        Column("evidence_files", Json),
        # How we know
        Column("origins", Json, nullable=False),
        Column("incomplete", Json, nullable=False),
        Column("findings", Json, nullable=False),
        time("gone_at"),
        Column("fingerprint", Text, nullable=False),
    )


canonical_records = Table(
    "canonical_records",
    metadata,
    *_record_columns(),
    Column("revision", BigInteger, nullable=False, server_default=revisions.next_value()),
    time("changed_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    Index("canonical_records_by_change", "tenant_id", "changed_at"),
    by_revision("canonical_records"),
    Index(
        "canonical_records_gone",
        *("tenant_id", "model_name", "version_number"),
        postgresql_where=text("gone_at IS NOT NULL"),
    ),
    Index(
        "canonical_records_incomplete",
        "tenant_id",
        postgresql_where=text("gone_at IS NULL AND incomplete <> '[]'::jsonb"),
    ),
)

canonical_record_history = Table(
    "canonical_record_history",
    metadata,
    *_record_columns(),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    time("changed_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    *ended(),
    Index("canonical_record_history_by_begin", "tenant_id", "changed_at"),
    Index("canonical_record_history_by_end", "tenant_id", "held_until"),
)
"""Written by a trigger, as the other two histories are."""

record_inputs = Table(
    "record_inputs",
    metadata,
    *version_key(),
    Column("model_revision", BigInteger),
    Column("version_revision", BigInteger, nullable=False),
    Column("run_revision", BigInteger),
    Column("logged_model_revision", BigInteger),
    Column("manifest_revision", BigInteger),
    Column("mapping_digest", Text, nullable=False),
)
