"""The log of all states that were written, its commitments in the audit trail, and the roots of the models' trees."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table
from sqlalchemy import Text as PlainText

from verifywise_mlflow.persistence.tables.columns import key_column, time_column
from verifywise_mlflow.persistence.tables.schema import metadata

# The texts are in their stored form (see pg_text_codec), since this form is hashed, and are sorted by their bytes.

state_log = Table(
    "state_log",
    metadata,
    key_column("tenant_id"),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", PlainText, nullable=False),
    Column("model_name", PlainText, nullable=False),
    Column("version_number", Integer, nullable=False),
    Column("object_id", PlainText, nullable=False),
    time_column("written_at", nullable=False),
    Column("sync_id", PlainText, nullable=False),
    Column("content", PlainText, nullable=False),
    Column("leaf_hash", PlainText, nullable=False),
    Index("state_log_by_object", "tenant_id", "model_name", "version_number", "kind", "object_id", "position"),
)

state_commitments = Table(
    "state_commitments",
    metadata,
    key_column("tenant_id"),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("frontier", PlainText, nullable=False),
)
"""``sequence`` is the number of the trail's entry that commits the first ``size`` states. ``frontier`` has the peaks of
their tree in hex."""

state_models = Table(
    "state_models",
    metadata,
    key_column("tenant_id"),
    Column("model_name", PlainText, primary_key=True),
    Column("root", PlainText, nullable=False),
)
"""A cache: the roots can be computed from the log."""
