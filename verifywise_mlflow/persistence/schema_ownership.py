"""Recognizes a schema that belongs to another product, so that ours is never created in it."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection, inspect

from verifywise_mlflow.persistence.errors import DatabaseError
from verifywise_mlflow.persistence.tables import SCHEMA
from verifywise_mlflow.persistence.tables.schema import VARIABLE


class ForeignSchema(NamedTuple):
    """Tables that only another product's schema has."""

    product: str
    tables: frozenset[str]


FOREIGN_SCHEMAS: Final = (
    # VerifyWise (releases of 2026) keeps all organizations in one schema, next to an alembic_version of its own.
    ForeignSchema("VerifyWise", frozenset({"organizations", "users"})),
    ForeignSchema("VerifyWise", frozenset({"projects", "users"})),
    # Our own schema has registered_models, too, but no experiments.
    ForeignSchema("MLflow", frozenset({"experiments", "registered_models"})),
    ForeignSchema("MLflow", frozenset({"experiments", "runs"})),
    ForeignSchema("Dagster", frozenset({"event_logs", "runs"})),
)


def refuse_foreign_schema(connection: Connection) -> None:
    """Refuse a schema that belongs to VerifyWise, MLflow or Dagster.

    Each of these products, like ours, expects to own its schema. All use the table name ``alembic_version``, and
    VerifyWise grants its role write access to every table in its schema.

    Raises:
        DatabaseError: the schema holds another product's tables.
    """
    tables = set(inspect(connection).get_table_names(schema=SCHEMA))
    for foreign in FOREIGN_SCHEMAS:
        if foreign.tables <= tables:
            raise DatabaseError(
                f"the schema {SCHEMA} belongs to {foreign.product}: it holds the tables "
                f"{' and '.join(sorted(foreign.tables))}. Set {VARIABLE} to the name of a schema of its own, or "
                "VERIFYWISE_DATABASE_URL to another database. Nothing was changed"
            )
