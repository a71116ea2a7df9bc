"""When the oldest of a manifest's hashes was made: one that takes some over from another is not newer for it."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Every manifest so far was hashed when it was read."""
    op.execute("ALTER TABLE verifywise.artifact_manifests ADD COLUMN hashed_at TIMESTAMP WITH TIME ZONE")
    op.execute("UPDATE verifywise.artifact_manifests SET hashed_at = read_at")
    op.execute("ALTER TABLE verifywise.artifact_manifests ALTER COLUMN hashed_at SET NOT NULL")
    # Of its hash: an entry of an index ends at 2,704 bytes, and a URI may be longer.
    op.execute("""
        CREATE INDEX artifact_manifests_by_location
        ON verifywise.artifact_manifests (tenant_id, md5(manifest ->> 'location'))
    """)
