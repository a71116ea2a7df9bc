"""The events that wait for webhooks."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table
from sqlalchemy import Text as PlainText

from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.tables.columns import identity_column, time_column, version_columns
from verifywise_mlflow.persistence.tables.schema import metadata

delivery_events = Table(
    "delivery_events",
    metadata,
    identity_column("event_id"),
    *version_columns(),
    Column("target", Text, nullable=False),
    Column("body", PlainText, nullable=False),
    time_column("written_at", nullable=False),
    Index("delivery_events_by_version", "tenant_id", "target", "model_name", "version_number", "event_id"),
)
"""An event has a row for each webhook that receives it. The row is deleted after the delivery. ``body`` is canonical
JSON, so it consists of ASCII only. Each attempt sends the bytes of the body, or a chat message that is made from the
body."""
