"""The files of the versions, and the files that changed under an unchanged version."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Computed, Index, Integer, Table, text
from sqlalchemy import Text as PlainText

from verifywise_mlflow.persistence.pg_text_codec import JsonDocument, Text
from verifywise_mlflow.persistence.tables.columns import (
    identity_column,
    revision_index,
    time_column,
    version_columns,
    version_key_columns,
    write_columns,
)
from verifywise_mlflow.persistence.tables.schema import metadata

artifact_manifests = Table(
    "artifact_manifests",
    metadata,
    *version_key_columns(),
    Column(
        "location_key",
        Text,
        nullable=False,
        doc="Identifies the location of the files. They are listed again when it changes.",
    ),
    Column(
        "manifest",
        JsonDocument,
        nullable=False,
        doc="Each file with size, SHA-256 and kind; the environment; the reason for anything that is missing.",
    ),
    Column(
        "retry",
        Boolean,
        nullable=False,
        doc="Whether the last read failed with a transient error; the next sync tries again.",
    ),
    time_column("read_at", nullable=False, doc="When the files were last listed, UTC."),
    time_column("hashed_at", nullable=False, doc="When the oldest of the hashes was computed, UTC."),
    time_column(
        "held_back_since",
        doc="Since when the model's folder lists no files and that counts as an outage of the store, UTC.",
    ),
    *write_columns(),
    Column(
        "location_md5",
        PlainText,
        Computed("md5(manifest ->> 'location')", persisted=True),
        doc="MD5 of the location, for an index only; it protects nothing.",
    ),
    Index("artifact_manifests_by_location", "tenant_id", "location_md5"),
    revision_index("artifact_manifests"),
    Index("artifact_manifests_by_hashing", "tenant_id", "hashed_at", postgresql_where=text("held_back_since IS NULL")),
    Index("artifact_manifests_to_retry", "tenant_id", postgresql_where=text("retry")),
    Index(
        "artifact_manifests_held_back",
        "tenant_id",
        postgresql_where=text("held_back_since IS NOT NULL"),
    ),
)

integrity_events = Table(
    "integrity_events",
    metadata,
    identity_column("event_id"),
    *version_columns(),
    Column("incarnation", Integer, nullable=False),
    Column("location", Text),
    Column("kind", Text, nullable=False),
    Column("root", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("former_sha256", Text),
    Column("sha256", Text),
    Column("former_size", BigInteger),
    Column("size", BigInteger),
    time_column("former_read_at", nullable=False),
    time_column("seen_at", nullable=False),
    Column("sync_id", Text, nullable=False),
    Index("integrity_events_by_version", "tenant_id", "model_name", "version_number"),
)
