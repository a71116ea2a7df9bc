"""Changes rows as the owner of the schema can: no trigger stops the owner."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from verifywise_mlflow.persistence.store import Store

WITH_CELL: Final = r"""
CREATE OR REPLACE FUNCTION pg_temp.with_cell(joined text, place integer, cell text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE WHEN p = place THEN cell ELSE c END, E'\x1e' ORDER BY p)
    FROM unnest(string_to_array(joined, E'\x1e')) WITH ORDINALITY AS cells (c, p)
$$
"""
"""Creates a function that replaces the cell of one rule in a joined column of verdicts."""


def forge(store: Store, statements: str) -> None:
    """Run statements as the owner of the schema, who disables the triggers and enables them again."""
    with store.begin("acme") as session:
        session.execute(text("SET LOCAL search_path = verifywise_mlflow, public"))
        session.connection.exec_driver_sql(WITH_CELL)
        tables = session.scalars(
            text("SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal")
        ).all()
        for change in ("DISABLE", "ENABLE"):
            for table in tables:
                session.execute(text(f"ALTER TABLE {table} {change} TRIGGER USER"))
            if change == "DISABLE":
                for statement in filter(str.strip, statements.split(";")):
                    session.execute(text(statement.replace(":", "\\:")))
