"""What was taken out of an object before it was kept: where, and of which kind. Never what stood there."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Nothing was taken out of what was read before."""
    for table in ("registered_models", "model_versions", "training_runs", "logged_models"):
        op.execute(f"ALTER TABLE verifywise.{table} ADD COLUMN redactions JSONB NOT NULL DEFAULT '[]'")
