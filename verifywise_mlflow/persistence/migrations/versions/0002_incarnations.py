"""A model that is deleted and created again under its name is another one: its incarnation."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Count from one; the objects that are known are the first that were seen."""
    for table in ("registered_models", "model_versions"):
        op.execute(f"ALTER TABLE verifywise.{table} ADD COLUMN incarnation INTEGER DEFAULT 1 NOT NULL")
