"""The database roles to which ``db grant`` gave access."""

from __future__ import annotations

from sqlalchemy import Column, Table
from sqlalchemy import Text as PlainText

from verifywise_mlflow.persistence.pg_text_codec import Text
from verifywise_mlflow.persistence.tables.columns import time_column
from verifywise_mlflow.persistence.tables.schema import metadata

role_grants = Table(
    "role_grants",
    metadata,
    Column("role_name", PlainText, primary_key=True),
    Column("kind", PlainText, nullable=False),
    Column("tenant_id", Text),
    time_column("granted_at", nullable=False),
    Column("granted_by_os_user", Text, nullable=False),
    Column("granted_by_role", Text, nullable=False),
)
"""The policies of row-level security read this table."""
