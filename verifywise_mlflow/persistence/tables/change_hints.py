"""What MLflow's webhooks reported: which objects to read again, and which deliveries were seen."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from verifywise_mlflow.persistence.pg_text_codec import Json
from verifywise_mlflow.persistence.tables.columns import key_column, time_column
from verifywise_mlflow.persistence.tables.schema import metadata, revisions

change_hints = Table(
    "change_hints",
    metadata,
    key_column("tenant_id"),
    key_column("object_kind"),
    key_column("object_name"),
    Column("version_number", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False, server_default=revisions.next_value()),
    time_column("first_received_at", nullable=False),
    time_column("received_at", nullable=False),
)
"""Objects that a sync is to read again. Version 0 is the model or prompt itself. Each event draws a new ``revision``:
a sync removes no hint that has arrived since it began."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    key_column("tenant_id"),
    key_column("delivery_id"),
    time_column("received_at", nullable=False),
    Column("object_names", Json, nullable=False),
    Index("webhook_deliveries_by_time", "tenant_id", "received_at"),
)
"""The deliveries of the last minutes, so that a repeated delivery has no effect. Each row has the models and prompts
that its delivery names. If a poll finds a change that no delivery has named, the webhooks have missed that change."""

webhook_status = Table(
    "webhook_status",
    metadata,
    key_column("tenant_id"),
    time_column("last_delivery_at"),
    time_column("last_event_at"),
    time_column("last_missed_at"),
)
"""Whether a tenant's webhooks are alive: the last new delivery with a valid signature, the last such delivery that was
not a test call, and when polling last found a change that should have been delivered."""
