"""Queries for the rows of many versions of a tenant, which look up each version by its key."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, FromClause, Select, select, true

from verifywise_mlflow.persistence.row_mapping import Key, key_rows
from verifywise_mlflow.persistence.session import TenantSession


def of_versions(
    session: TenantSession, states: FromClause, keys: Collection[Key], *conditions: ColumnElement[bool]
) -> Select[tuple[object, ...]]:
    """Return a query for the rows of these versions in a table or view. The query looks up each version by its key.

    With a plain join to a view of all states, Postgres would read every state of the tenant for each batch.
    """
    wanted = key_rows(keys)
    found = (
        select(*states.c)
        .where(
            states.c.tenant_id == session.tenant_id,
            states.c.model_name == wanted.c.model_name,
            states.c.version_number == wanted.c.version_number,
            *conditions,
        )
        .offset(0)  # an offset makes Postgres run the subquery once per key instead of choosing another kind of join
        .lateral("of_version")
    )
    return select(*found.c).select_from(wanted.join(found, true()))
