"""The tenants, how far each of their stages has come, and the versions of their configuration."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Index, Table

from verifywise_mlflow.persistence.pg_text_codec import Json, Text
from verifywise_mlflow.persistence.tables.columns import identity_column, key_column, time_column
from verifywise_mlflow.persistence.tables.schema import metadata

tenants = Table(
    "tenants",
    metadata,
    key_column("tenant_id"),
    Column("tracking_uri", Text, nullable=False),
    Column("workspace", Text),
    time_column("first_seen_at", nullable=False),
    time_column("deactivated_at"),
)

stage_refreshes = Table(
    "stage_refreshes",
    metadata,
    key_column("tenant_id"),
    key_column("stage"),
    time_column("refreshed_at", nullable=False),
    time_column("reconciled_at"),
    Column("sync_id", Text, nullable=False),
)

stage_watermarks = Table(
    "stage_watermarks",
    metadata,
    key_column("tenant_id"),
    key_column("stage"),
    Column("basis", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
"""The revision of a tenant's rows up to which a stage has nothing pending."""

poll_watermarks = Table(
    "poll_watermarks",
    metadata,
    key_column("tenant_id"),
    Column("newest_version_time", BigInteger),
    time_column("updated_at", nullable=False),
)
"""The newest update time of a version in the last complete listing, in milliseconds since 1970. A poll compares this
time with the newest update time on the server."""

history_usage = Table(
    "history_usage",
    metadata,
    key_column("tenant_id"),
    Column("day", Date, nullable=False),
    Column("bytes_written", BigInteger, nullable=False),
    Column("held_back", BigInteger, nullable=False),
    time_column("updated_at", nullable=False),
)
"""How much the tenant's syncs have written to its histories on a day, UTC, and how many changes the last sync held
back because of the daily quota."""

tenant_locks = Table("tenant_locks", metadata, key_column("tenant_id"), key_column("lock"))
"""Rows that a transaction locks, so that another transaction waits: see ``locks``. Readers have no access."""

config_versions = Table(
    "config_versions",
    metadata,
    identity_column("config_version_id"),
    Column("tenant_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("document", Json, nullable=False),
    time_column("valid_from", nullable=False),
    Column("sync_id", Text, nullable=False),
    Index("config_versions_by_kind", "tenant_id", "kind", "config_version_id"),
)
"""The versions of a tenant's mapping, policies, description, declared AI systems and redaction settings."""
