"""A second revision of the schema, so that tests can upgrade from one revision to the next."""

from __future__ import annotations

import shutil
from pathlib import Path

from verifywise_mlflow.persistence import database

INITIAL_REVISION, LATER_REVISION = "0001", "0002"

_LATER_REVISION_SOURCE = f'''
"""Adds a column to a table and to its history, as a later release may."""

from alembic import op

from verifywise_mlflow.persistence.tables import SCHEMA

revision = "{LATER_REVISION}"
down_revision = "{INITIAL_REVISION}"


def upgrade() -> None:
    for table in ("canonical_records", "canonical_record_history"):
        op.execute(f"ALTER TABLE {{SCHEMA}}.{{table}} ADD COLUMN note TEXT")
    op.execute(f"CREATE TABLE {{SCHEMA}}.notes (tenant_id TEXT PRIMARY KEY, note TEXT)")
'''


def migrations_with_a_second_revision(folder: Path) -> Path:
    """Copy our migrations into a folder and add a revision; return the folder, for ``database.MIGRATIONS``."""
    shutil.copytree(database.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / f"{LATER_REVISION}_second.py").write_text(_LATER_REVISION_SOURCE, encoding="utf-8")
    return folder
