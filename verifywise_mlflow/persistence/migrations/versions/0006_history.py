"""What a record, a verdict or a badge was before it changed is kept, with the span in which it held.

The database sees to it, by triggers: no writer can forget it, and who may write records may not write their history.
"""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """What is known now is the first state of which there is a history."""
    # On the driver's own cursor: SQLAlchemy would look for parameters behind each % and : of the statements.
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
