"""Copies of all rows of a database, which undo a manipulation. A new database per manipulation would take longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Table, text

from verifywise_mlflow.persistence.tables import SCHEMA, metadata

_COPIES = "row_snapshot"
"""The schema of the copies."""


@dataclass(frozen=True, slots=True)
class RowSnapshot:
    """The rows of our tables at one time."""

    digests: dict[str, str]

    @classmethod
    def take(cls, connection: Connection) -> RowSnapshot:
        """Copy all rows within the database."""
        connection.execute(text(f"CREATE SCHEMA {_COPIES}"))
        for table in metadata.tables.values():
            connection.execute(text(f"CREATE TABLE {_COPIES}.{table.name} AS TABLE {SCHEMA}.{table.name}"))
        return cls(_digests(connection))

    def restore(self, connection: Connection) -> None:
        """Replace the rows of each changed table with the copied rows."""
        with disabled_triggers(connection):
            for name, digest in _digests(connection).items():
                if digest != self.digests[name]:
                    columns = [column.name for column in _table(name).columns if column.computed is None]
                    listed = ", ".join(f'"{column}"' for column in columns)
                    connection.execute(text(f"DELETE FROM {SCHEMA}.{name}"))
                    connection.execute(
                        text(
                            f"INSERT INTO {SCHEMA}.{name} ({listed}) OVERRIDING SYSTEM VALUE "
                            f"SELECT {listed} FROM {_COPIES}.{name}"
                        )
                    )


@contextmanager
def disabled_triggers(connection: Connection) -> Iterator[None]:
    """Disable all triggers of our tables, as the owner of the schema can, and enable them again."""
    query = text(
        """
        SELECT tgrelid::regclass::text AS table, tgname, tgenabled
        FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid
        WHERE relnamespace = CAST(:schema AS regnamespace) AND NOT tgisinternal
        """
    )
    triggers = connection.execute(query, {"schema": SCHEMA}).all()
    connection.exec_driver_sql(
        "; ".join(f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in dict.fromkeys(row.table for row in triggers))
    )
    yield
    connection.exec_driver_sql(
        "; ".join(
            f"ALTER TABLE {row.table} ENABLE {'ALWAYS ' if row.tgenabled == 'A' else ''}TRIGGER {row.tgname}"
            for row in triggers
        )
    )


def _digests(connection: Connection) -> dict[str, str]:
    queries = [
        f"SELECT '{table.name}' AS name, md5(string_agg(t::text, '' ORDER BY t::text)) AS digest "
        f"FROM {SCHEMA}.{table.name} AS t"
        for table in metadata.tables.values()
    ]
    return {row.name: row.digest for row in connection.execute(text(" UNION ALL ".join(queries)))}


def _table(name: str) -> Table:
    return metadata.tables[f"{SCHEMA}.{name}"]
