"""What the registry lists: models and their versions."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Table

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.columns import (
    incarnation_column,
    key_column,
    redactions_column,
    revision_index,
    time_column,
    version_key_columns,
    write_columns,
)
from verifywise_mlflow.persistence.tables.schema import metadata

registered_models = Table(
    "registered_models",
    metadata,
    key_column("tenant_id"),
    key_column("model_name"),
    Column("description", Text),
    Column("tags", Json, nullable=False),
    Column("aliases", Json, nullable=False),
    time_column("created_at"),
    time_column("last_updated_at"),
    Column("hidden_from_search", Boolean, nullable=False),
    Column("problems", Json, nullable=False),
    redactions_column(),
    incarnation_column(),
    time_column("deleted_at"),
    *write_columns(),
    revision_index("registered_models"),
)

model_versions = Table(
    "model_versions",
    metadata,
    *version_key_columns(),
    time_column("created_at"),
    time_column("last_updated_at"),
    Column("stage", Text),
    Column("aliases", Json, nullable=False),
    Column("description", Text),
    Column("source", Text),
    Column("run_id", Text),
    Column("logged_model_id", Text),
    Column("status", Text),
    Column("status_message", Text),
    Column("run_link", Text),
    Column("deployment_job_state", Text),
    Column("tags", Json, nullable=False),
    Column("hidden_from_search", Boolean, nullable=False),
    Column("problems", Json, nullable=False),
    redactions_column(),
    incarnation_column(),
    time_column("deleted_at"),
    *write_columns(),
    Index("model_versions_by_run", "tenant_id", "run_id"),
    Index("model_versions_by_logged_model", "tenant_id", "logged_model_id"),
    revision_index("model_versions"),
)
