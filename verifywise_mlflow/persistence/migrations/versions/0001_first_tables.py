"""The first tables: what each stage keeps, and the audit trail."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create them."""
    # On the driver's own cursor: SQLAlchemy would look for parameters behind each % and : of the statements.
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
