"""Refreshes the planner's statistics of tables that have just been filled.

Autovacuum looks at a database once a minute, by default. A first sync may fill a table and read it within that time,
and without statistics Postgres reads all rows of a tenant for each batch: the time of the sync would grow with the
square of the number of versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Table, text

from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA

_MIN_PAGES: Final = 64
"""Pages of 8 KiB. For a smaller table, every plan is good enough."""
_GROWTH: Final = 4
"""The factor of growth that makes a table's former statistics useless. Analyzing a table of records takes about a
second."""

_GROWN = text(
    """
    SELECT relname FROM pg_class
    WHERE relnamespace = to_regnamespace(:schema) AND relname = ANY(:names)
    AND pg_relation_size(oid) / 8192 > greatest(:growth * relpages, :min_pages)
    AND pg_has_role(relowner, 'USAGE')
    ORDER BY relname
    """
)


def analyze_grown_tables(session: TenantSession, tables: Sequence[Table]) -> list[str]:
    """Analyze the tables that have grown more than fourfold since they were last analyzed, and return their names.

    Small tables are left out, and tables whose owner's rights the current role lacks: autovacuum analyzes these tables.
    Postgres skips a table that another process is analyzing, but its name is returned nevertheless. Until the
    transaction ends, it has a lock on the analyzed tables, which blocks only VACUUM, ANALYZE and changes of the schema.
    """
    names = [table.name for table in tables]
    limits = {"growth": _GROWTH, "min_pages": _MIN_PAGES}
    grown = session.scalars(_GROWN, {"schema": SCHEMA, "names": names, **limits}).all()
    if grown:
        listed = ", ".join(f"{SCHEMA}.{name}" for name in grown)
        session.execute(text(f"ANALYZE (SKIP_LOCKED) {listed}"))
    return [str(name) for name in grown]
