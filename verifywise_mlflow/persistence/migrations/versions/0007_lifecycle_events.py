"""Lifecycle events: stage and alias transitions, first seen, disappeared, reappeared, recreated."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create their table. What happened before this migration is not known, and not made up."""
    op.execute("""
        CREATE TABLE verifywise.lifecycle_events (
            event_id BIGINT GENERATED ALWAYS AS IDENTITY,
            tenant_id TEXT NOT NULL,
            model_name TEXT NOT NULL,
            version_number INTEGER,
            incarnation INTEGER NOT NULL,
            kind TEXT NOT NULL,
            alias TEXT,
            previous TEXT,
            value TEXT,
            happened_at TIMESTAMP WITH TIME ZONE,
            seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
            sync_id TEXT NOT NULL,
            PRIMARY KEY (event_id)
        )
    """)
    op.execute("""
        CREATE INDEX lifecycle_events_by_version
        ON verifywise.lifecycle_events (tenant_id, model_name, version_number, event_id)
    """)
    op.execute("CREATE INDEX lifecycle_events_by_time ON verifywise.lifecycle_events (tenant_id, seen_at)")
    for table in ("lifecycle_events", "integrity_events"):
        op.execute(f"""
            CREATE TRIGGER append_only BEFORE UPDATE ON verifywise.{table}
            FOR EACH STATEMENT EXECUTE FUNCTION verifywise.refuse_change()
        """)
