"""The tables of agents and of their former states.

An agent is a logged model of the type agent. It may belong to no registered model.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Table

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.columns import (
    end_columns,
    incarnation_column,
    key_column,
    redactions_column,
    time_column,
    write_columns,
)
from verifywise_mlflow.persistence.tables.schema import metadata


def _agent_columns() -> tuple[Column[Any], ...]:
    return (
        key_column("tenant_id", doc="The tenant's name in tenants.yaml."),
        key_column("model_id", doc="The ID of the logged model in MLflow."),
        Column("name", Text, doc="The name of the logged model. Several agents may have the same one."),
        Column("status", Text, doc="Status in MLflow: PENDING, READY or FAILED."),
        Column("experiment_id", Text, doc="The ID of the experiment."),
        Column("experiment_name", Text, doc="The name of the experiment."),
        Column("source_run_id", Text, doc="The ID of the run that logged the agent; null for an external one."),
        time_column("created_at", doc="Creation time in MLflow, UTC."),
        time_column("last_updated_at", doc="Time of the last change in MLflow, UTC. Tags do not update it."),
        Column("params", Json, nullable=False, doc="The first parameters by name, long values shortened."),
        Column("metrics", Json, nullable=False, doc="The last value of each of the first metrics by name."),
        Column("tags", Json, nullable=False, doc="The first tags by name, long values shortened."),
        Column(
            "linked_prompts",
            Json,
            doc="The prompts that MLflow has linked to the agent, each with what the registry had of it.",
        ),
        Column("problems", Json, nullable=False, doc="Parts of MLflow's response that could not be parsed."),
        redactions_column(),
        incarnation_column(),
        time_column(
            "deleted_at", doc="Tombstone: since when MLflow no longer has the agent, UTC; null while it exists."
        ),
    )


agents = Table(
    "agents",
    metadata,
    *_agent_columns(),
    *write_columns(),
    Column("sync_id", Text, nullable=False, doc="The sync that wrote the row, as in the audit trail."),
)

agent_history = Table(
    "agent_history",
    metadata,
    *_agent_columns(),
    Column("fingerprint", Text, nullable=False),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    time_column("changed_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    *end_columns(),
)
"""A trigger writes this table, like the other histories."""
