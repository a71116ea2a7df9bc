"""Lifecycle events of models and versions: first seen, moved between stages and aliases, deleted."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Table

from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.tables.columns import identity_column, time_column
from verifywise_mlflow.persistence.tables.schema import metadata

lifecycle_events = Table(
    "lifecycle_events",
    metadata,
    identity_column("event_id"),
    Column("tenant_id", Text, nullable=False),
    Column("model_name", Text, nullable=False),
    Column("version_number", Integer),
    Column("incarnation", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("alias", Text),
    Column("previous", Text),
    Column("value", Text),
    time_column("happened_at"),
    time_column("seen_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    Index("lifecycle_events_by_version", "tenant_id", "model_name", "version_number", "event_id"),
    Index("lifecycle_events_by_time", "tenant_id", "seen_at"),
)
