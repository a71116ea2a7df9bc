"""The initial schema: tables, history, triggers, views and row-level security.

The statements are in the SQL files of the folder ``0001_initial``, which run in the order of ``FILES``. The statements
write ``{schema}`` for the schema's name, since the setting ``VERIFYWISE_SCHEMA`` may change the name.
"""

from pathlib import Path

from alembic import op

from verifywise_mlflow.persistence.tables import SCHEMA

revision = "0001"
down_revision = None

FILES = (
    "tables.sql",
    "history.sql",
    "compression.sql",
    "triggers.sql",
    "count_invalidation.sql",
    "views.sql",
    "row_level_security.sql",
)


def upgrade() -> None:
    """Create everything in the schema."""
    folder = Path(__file__).with_suffix("")
    for name in FILES:
        statements = (folder / name).read_text(encoding="utf-8").replace("{schema}", SCHEMA)
        # The statements run on the driver's own cursor: SQLAlchemy would look for parameters behind each % and : in
        # them.
        op.get_bind().connection.cursor().execute(statements)
