"""What versions link to: training runs and logged models."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Table, false

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.columns import (
    key_column,
    redactions_column,
    revision_index,
    time_column,
    write_columns,
)
from verifywise_mlflow.persistence.tables.schema import metadata

training_runs = Table(
    "training_runs",
    metadata,
    key_column("tenant_id"),
    key_column("run_id"),
    Column("experiment_id", Text),
    Column("experiment_name", Text),
    Column("run_name", Text),
    Column("user_id", Text),
    Column("status", Text),
    Column("lifecycle_stage", Text),
    time_column("started_at"),
    time_column("ended_at"),
    Column("artifact_uri", Text),
    Column("metrics", Json, nullable=False),
    Column("params", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("datasets", Json, nullable=False),
    Column("logged_model_ids", Json, nullable=False),
    Column("problems", Json, nullable=False),
    redactions_column(),
    Column("read_error", Text),
    Column("retry", Boolean, nullable=False),
    Column("deferred", Boolean, nullable=False, server_default=false()),
    Column("read_for_revision", BigInteger, nullable=False),
    *write_columns(),
    revision_index("training_runs"),
)

logged_models = Table(
    "logged_models",
    metadata,
    key_column("tenant_id"),
    key_column("model_id"),
    Column("experiment_id", Text),
    Column("name", Text),
    Column("source_run_id", Text),
    Column("artifact_uri", Text),
    Column("status", Text),
    Column("model_type", Text),
    time_column("created_at"),
    time_column("last_updated_at"),
    Column("params", Json, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("problems", Json, nullable=False),
    redactions_column(),
    Column("read_error", Text),
    Column("retry", Boolean, nullable=False),
    Column("deferred", Boolean, nullable=False, server_default=false()),
    Column("read_for_revision", BigInteger, nullable=False),
    *write_columns(),
)
