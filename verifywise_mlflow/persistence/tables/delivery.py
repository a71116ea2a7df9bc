"""Deliveries to other systems: what is pending, what we last wrote there, and the state of each target."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, text

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.columns import key_column, time_column
from verifywise_mlflow.persistence.tables.schema import metadata, revisions

delivery_outbox = Table(
    "delivery_outbox",
    metadata,
    key_column("tenant_id"),
    key_column("target"),
    key_column("model_name"),
    Column("version_number", Integer, primary_key=True, autoincrement=False),
    Column("cause", Text, nullable=False),
    Column("revision", BigInteger, nullable=False, server_default=revisions.next_value()),
    time_column("pending_since", nullable=False),
    time_column("written_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    time_column("not_before"),
    time_column("parked_at"),
    Column("reason", Text),
    Index("delivery_outbox_by_revision", "tenant_id", "target", "revision"),
)
"""The versions whose state a target does not have yet. A later change of a pending version replaces its row, with
another revision: a delivery deletes a row only if the row still has the revision that was read."""

delivery_ledger = Table(
    "delivery_ledger",
    metadata,
    key_column("tenant_id"),
    key_column("target"),
    key_column("destination"),
    key_column("model_name"),
    Column("version_number", Integer, primary_key=True, autoincrement=False),
    Column("incarnation", Integer, primary_key=True, autoincrement=False),
    key_column("item"),
    Column("remote_id", Text),
    Column("written", Json),
    Column("intended", Json),
    time_column("intended_at"),
    time_column("written_at"),
    Column("remark", Text),
)
"""The content that we last wrote to a target. ``destination`` is a digest of the address and the organization, since a
remote ID is valid at that destination only. ``intended`` is set before a request is sent and cleared after its success:
if a row has an intended content at the start of a delivery, the outcome of its request is unknown."""

delivery_targets = Table(
    "delivery_targets",
    metadata,
    key_column("tenant_id"),
    key_column("target"),
    Column("settings_digest", Text, nullable=False),
    time_column("enqueued_all_at", nullable=False),
    time_column("confirmed_at"),
    Column("waiting_reason", Text),
    time_column("retry_at"),
    time_column("last_tried_at"),
    time_column("last_delivered_at"),
    Column("last_error", Text),
)
"""The state of each target of a tenant. Without ``confirmed_at``, deliveries to the target are not allowed yet."""
