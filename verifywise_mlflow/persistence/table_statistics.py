"""Refreshes the planner's statistics of tables that have just been filled.

Autovacuum looks at each table once a minute. A first sync fills a table and reads it within that time, and without
statistics Postgres reads all rows of a tenant for each batch: the time of the sync would grow with the square of the
number of versions.
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
"""The growth of a table that makes its former statistics useless. Analyzing a table of records takes about a second."""

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
    """Analyze the tables that have grown fourfold since they were last analyzed, and return their names.

    A role that does not own the tables may not analyze them. For such a role, this does nothing and leaves the work to
    autovacuum. A table that another process is analyzing is left out. Until the transaction ends, Postgres holds a lock
    that blocks only another analysis or a change of the schema.
    """
    names = [table.name for table in tables]
    limits = {"growth": _GROWTH, "min_pages": _MIN_PAGES}
    grown = session.scalars(_GROWN, {"schema": SCHEMA, "names": names, **limits}).all()
    if grown:
        listed = ", ".join(f"{SCHEMA}.{name}" for name in grown)
        session.execute(text(f"ANALYZE (SKIP_LOCKED) {listed}"))
    return [str(name) for name in grown]
