"""The tables of the registry's prompts: prompts, their versions, and the former states of the versions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.columns import (
    end_columns,
    incarnation_column,
    key_column,
    redactions_column,
    revision_index,
    time_column,
    write_columns,
)
from verifywise_mlflow.persistence.tables.schema import metadata

prompts = Table(
    "prompts",
    metadata,
    key_column("tenant_id", doc="The tenant's name in tenants.yaml."),
    key_column("prompt_name", doc="The name of the prompt in MLflow."),
    Column("description", Text, doc="The description in MLflow."),
    Column("tags", Json, nullable=False, doc="The tags, without MLflow's own ones for prompts."),
    Column("aliases", Json, nullable=False, doc="Aliases, such as production, each with the number of its version."),
    time_column("created_at", doc="Creation time in MLflow, UTC."),
    time_column("last_updated_at", doc="Time of the last change in MLflow, UTC. Tags and aliases do not update it."),
    Column("problems", Json, nullable=False, doc="Parts of MLflow's response that could not be parsed."),
    redactions_column(),
    incarnation_column(),
    time_column("deleted_at", doc="Tombstone: since when MLflow no longer has the prompt, UTC; null while it exists."),
    *write_columns(),
    revision_index("prompts"),
)


def _version_columns() -> tuple[Column[Any], ...]:
    return (
        key_column("tenant_id", doc="The tenant's name in tenants.yaml."),
        key_column("prompt_name", doc="The name of the prompt in MLflow."),
        Column("version_number", Integer, primary_key=True, autoincrement=False, doc="The version's number in MLflow."),
        time_column("created_at", doc="Creation time in MLflow, UTC."),
        time_column(
            "last_updated_at", doc="Time of the last change in MLflow, UTC. Tags and aliases do not update it."
        ),
        Column("aliases", Json, nullable=False, doc="The aliases that point to the version."),
        Column("commit_message", Text, doc="The commit message in MLflow."),
        Column("prompt_type", Text, doc="text or chat."),
        Column("template_sha256", Text, doc="SHA-256 of the template. The template itself is not stored."),
        Column("template_length", Integer, doc="Characters of the template."),
        Column("variables", Json, nullable=False, doc="The names of the variables in the template."),
        Column("has_response_format", Boolean, nullable=False, doc="Whether the version states a format of responses."),
        Column("model_config", Json, nullable=False, doc="The model and its parameters that the version is meant for."),
        Column("tags", Json, nullable=False, doc="The tags, without MLflow's own ones for prompts."),
        Column("problems", Json, nullable=False, doc="Parts of MLflow's response that could not be parsed."),
        redactions_column(),
        incarnation_column(),
        time_column(
            "deleted_at", doc="Tombstone: since when MLflow no longer has the version, UTC; null while it exists."
        ),
    )


prompt_versions = Table(
    "prompt_versions",
    metadata,
    *_version_columns(),
    *write_columns(),
    Column("sync_id", Text, nullable=False, doc="The sync that wrote the row, as in the audit trail."),
)

prompt_version_history = Table(
    "prompt_version_history",
    metadata,
    *_version_columns(),
    Column("fingerprint", Text, nullable=False),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    time_column("changed_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    *end_columns(),
)
"""A trigger writes this table, like the other histories."""
