"""Bytes that changed under a version that did not, with the hash before and the hash now."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create their table."""
    op.execute("""
        CREATE TABLE verifywise.integrity_events (
            event_id BIGINT GENERATED ALWAYS AS IDENTITY,
            tenant_id TEXT NOT NULL,
            model_name TEXT NOT NULL,
            version_number INTEGER NOT NULL,
            incarnation INTEGER NOT NULL,
            location TEXT,
            kind TEXT NOT NULL,
            root TEXT NOT NULL,
            path TEXT NOT NULL,
            former_sha256 TEXT,
            sha256 TEXT,
            former_size BIGINT,
            size BIGINT,
            former_read_at TIMESTAMP WITH TIME ZONE NOT NULL,
            seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
            sync_id TEXT NOT NULL,
            PRIMARY KEY (event_id)
        )
    """)
    op.execute("""
        CREATE INDEX integrity_events_by_version
        ON verifywise.integrity_events (tenant_id, model_name, version_number)
    """)
