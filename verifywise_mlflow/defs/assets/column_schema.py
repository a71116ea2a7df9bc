"""The columns of the stages' tables as Dagster shows them: type, nullability and description."""

from __future__ import annotations

import dagster as dg

from verifywise_mlflow.persistence.tables import SCHEMA, metadata, views


def column_schema(relation: str) -> dg.TableSchema:
    """Return the columns of a stage's table or view. The description of a column is its ``doc``."""
    relations = {**metadata.tables, **views.tables}
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=column.type.compile().lower(),
                description=column.doc,
                constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
            )
            for column in relations[f"{SCHEMA}.{relation}"].columns
        ]
    )
