"""The audit trail, its signed checkpoints, and the receipts of witnesses that have a checkpoint."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Computed, DateTime, Index, Table
from sqlalchemy import Text as PlainText

from verifywise_mlflow.audit.chain import MAX_ENTRY_BYTES
from verifywise_mlflow.persistence.pg_text_codec import Json
from verifywise_mlflow.persistence.tables.columns import key_column
from verifywise_mlflow.persistence.tables.schema import metadata

audit_trail = Table(
    "audit_trail",
    metadata,
    key_column("tenant_id"),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", PlainText, nullable=False),
    Column("entry_hash", PlainText, nullable=False),
    Column("kind", PlainText, Computed("entry::jsonb ->> 'kind'", persisted=True)),
    CheckConstraint(f"octet_length(entry) <= {MAX_ENTRY_BYTES}", name="audit_trail_entry_size"),
    Index("audit_trail_by_kind", "tenant_id", "kind", "sequence"),
)
"""``entry`` is canonical JSON, the bytes that were hashed; the view ``audit_entries`` has its parts as columns."""

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    key_column("tenant_id"),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("checkpoint", PlainText, nullable=False),
    Column("signature", PlainText, primary_key=True),
)

checkpoint_receipts = Table(
    "checkpoint_receipts",
    metadata,
    key_column("tenant_id"),
    key_column("witness"),
    Column("stored_at", DateTime(timezone=True), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("signature", PlainText, nullable=False),
    Column("receipt", Json, nullable=False),
)
"""``receipt`` is what the witness answered: where the checkpoint is, or a time-stamp token."""
