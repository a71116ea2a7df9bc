"""The tables of the objects that versions link to: training runs and logged models."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, false, text

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.columns import (
    key_column,
    redactions_column,
    revision_index,
    time_column,
    write_columns,
)
from verifywise_mlflow.persistence.tables.schema import metadata

_IS_READ_AGAIN = text("retry OR read_error IS NULL AND status IN ('RUNNING', 'SCHEDULED')")

training_runs = Table(
    "training_runs",
    metadata,
    key_column("tenant_id", doc="The tenant's name in tenants.yaml."),
    key_column("run_id", doc="The ID of the training run."),
    Column("experiment_id", Text, doc="The ID of the experiment."),
    Column("experiment_name", Text, doc="The name of the experiment."),
    Column("run_name", Text, doc="The name of the run."),
    Column("user_id", Text, doc="The user who started the run, as MLflow shows it."),
    Column("status", Text, doc="Status in MLflow."),
    Column("lifecycle_stage", Text, doc="Lifecycle stage of the run in MLflow: active or deleted."),
    time_column("started_at", doc="Start time, UTC."),
    time_column("ended_at", doc="End time, UTC; null while the run is active."),
    Column("artifact_uri", Text, doc="The location of the run's files."),
    Column("metrics", Json, nullable=False, doc="The last value of each metric."),
    Column("params", Json, nullable=False, doc="All parameters."),
    Column("tags", Json, nullable=False, doc="All tags, after redaction."),
    Column("datasets", Json, nullable=False, doc="The data sets that were logged as inputs."),
    Column("logged_model_ids", Json, nullable=False, doc="The IDs of the logged models that the run created."),
    Column("problems", Json, nullable=False, doc="Parts of MLflow's response that could not be parsed."),
    redactions_column(),
    Column("read_error", Text, doc="Why the object could not be read; null if it could."),
    Column(
        "retry",
        Boolean,
        nullable=False,
        doc="Whether the last read failed with a transient error; the next sync tries again.",
    ),
    Column(
        "deferred",
        Boolean,
        nullable=False,
        server_default=false(),
        doc="Whether the object is not requested by itself yet, because too many objects are missing.",
    ),
    Column("read_for_revision", BigInteger, nullable=False, doc="The revision of the version for which this was read."),
    *write_columns(),
    revision_index("training_runs"),
    Index("training_runs_to_read_again", "tenant_id", postgresql_where=_IS_READ_AGAIN),
)

logged_models = Table(
    "logged_models",
    metadata,
    key_column("tenant_id"),
    key_column("model_id"),
    Column("experiment_id", Text),
    Column("experiment_name", Text),
    Column("name", Text),
    Column("source_run_id", Text),
    Column("artifact_uri", Text),
    Column("location_key", Text, doc="A hash of artifact_uri in a comparable form."),
    Column(
        "shares_location",
        Boolean,
        nullable=False,
        server_default=false(),
        doc="Whether another logged model has the same location, so that a path names neither of them.",
    ),
    Column("status", Text),
    Column("model_type", Text),
    time_column("created_at"),
    time_column("last_updated_at"),
    Column("params", Json, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("datasets", Json, nullable=False, server_default=text("'[]'::jsonb")),
    Column("tags", Json, nullable=False),
    Column("problems", Json, nullable=False),
    redactions_column(),
    Column("read_error", Text),
    Column("retry", Boolean, nullable=False),
    Column("deferred", Boolean, nullable=False, server_default=false()),
    Column("read_for_revision", BigInteger, nullable=False),
    Column(
        "generative_evaluation",
        Json,
        doc="The assessments of its traces, counted, and its evaluation data sets; null before the first reading.",
    ),
    Column("evaluation_error", Text, doc="Why the assessments could not be read."),
    Column(
        "evaluation_basis",
        Text,
        doc="The fingerprint of the logged model for which they were read; null if the reading failed.",
    ),
    *write_columns(),
    Index("logged_models_to_read_again", "tenant_id", postgresql_where=_IS_READ_AGAIN),
    Index("logged_models_by_location", "tenant_id", "location_key"),
    Index("logged_models_by_run", "tenant_id", "source_run_id"),
    revision_index("logged_models"),
)
