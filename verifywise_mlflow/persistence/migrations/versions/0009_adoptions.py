"""The policies, mappings and descriptions that a tenant was judged, read and synced by, from when on."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create their table; the next sync of a tenant notes what holds then."""
    op.execute("""
        CREATE TABLE verifywise.adoptions (
            adoption_id BIGINT GENERATED ALWAYS AS IDENTITY,
            tenant_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            digest TEXT NOT NULL,
            document JSONB NOT NULL,
            adopted_at TIMESTAMP WITH TIME ZONE NOT NULL,
            sync_id TEXT NOT NULL,
            PRIMARY KEY (adoption_id)
        )
    """)
    op.execute("CREATE INDEX adoptions_by_kind ON verifywise.adoptions (tenant_id, kind, adoption_id)")
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE ON verifywise.adoptions
        FOR EACH STATEMENT EXECUTE FUNCTION verifywise.refuse_change()
    """)
