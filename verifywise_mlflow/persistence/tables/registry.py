"""The tables of the registry: models and their versions."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Table, text

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
    key_column("tenant_id", doc="The tenant's name in tenants.yaml."),
    key_column("model_name", doc="The name of the registered model in MLflow."),
    Column("description", Text, doc="The description in MLflow."),
    Column("tags", Json, nullable=False, doc="All tags, after redaction."),
    Column("aliases", Json, nullable=False, doc="Aliases, such as champion."),
    time_column("created_at", doc="Creation time in MLflow, UTC."),
    time_column(
        "last_updated_at", doc="Time of the last change in MLflow, UTC. Changes of tags and aliases do not update it."
    ),
    Column(
        "hidden_from_search",
        Boolean,
        nullable=False,
        doc="Whether the listing omits the object although reading it by name returns it.",
    ),
    Column("problems", Json, nullable=False, doc="Parts of MLflow's response that could not be parsed."),
    redactions_column(),
    incarnation_column(),
    time_column("deleted_at", doc="Tombstone: since when MLflow no longer has the object, UTC; null while it exists."),
    *write_columns(),
    revision_index("registered_models"),
)

model_versions = Table(
    "model_versions",
    metadata,
    *version_key_columns(),
    time_column("created_at", doc="Creation time in MLflow, UTC."),
    time_column(
        "last_updated_at", doc="Time of the last change in MLflow, UTC. Changes of tags and aliases do not update it."
    ),
    Column("stage", Text, doc="Stage in MLflow: None, Staging, Production or Archived."),
    Column("aliases", Json, nullable=False, doc="Aliases, such as champion."),
    Column("description", Text, doc="The description in MLflow."),
    Column("source", Text, doc="The location of the version's files, as registered."),
    Column("run_id", Text, doc="The ID of the training run."),
    Column("logged_model_id", Text, doc="The ID of the MLflow 3 logged model that the version's source names."),
    Column(
        "logged_model_location",
        Text,
        doc="A hash of the source if it names the logged model by a path. It must equal the logged model's location.",
    ),
    Column(
        "copied_from",
        Json,
        nullable=False,
        server_default=text("'[]'::jsonb"),
        doc="The versions from the nearest copy to the original; empty if the version is not a copy.",
    ),
    Column(
        "origin_source",
        Text,
        doc="The source of a copy's original; the location of the copy's files if the original is unknown.",
    ),
    Column("origin_run_id", Text, doc="The run of the version, else the one that its original or its source names."),
    Column("origin_problem", Text, doc="Why the original of a copy is unknown."),
    Column("status", Text, doc="Status in MLflow."),
    Column("status_message", Text, doc="Status message in MLflow."),
    Column("run_link", Text, doc="A link to a run on another server."),
    Column("deployment_job_state", Text, doc="State of the deployment job in MLflow."),
    Column("tags", Json, nullable=False, doc="All tags, after redaction."),
    Column(
        "hidden_from_search",
        Boolean,
        nullable=False,
        doc="Whether the listing omits the object although reading it by name returns it.",
    ),
    Column("problems", Json, nullable=False, doc="Parts of MLflow's response that could not be parsed."),
    redactions_column(),
    incarnation_column(),
    time_column("deleted_at", doc="Tombstone: since when MLflow no longer has the object, UTC; null while it exists."),
    *write_columns(),
    Index("model_versions_by_run", "tenant_id", "run_id"),
    Index("model_versions_by_origin_run", "tenant_id", "origin_run_id", postgresql_where=text("run_id IS NULL")),
    Index("model_versions_by_logged_model", "tenant_id", "logged_model_id"),
    Index("model_versions_by_creation", "tenant_id", "created_at"),
    revision_index("model_versions"),
)
