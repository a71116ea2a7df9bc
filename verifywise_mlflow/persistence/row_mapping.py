"""Maps entities to rows and back by field name, upserts (inserts or updates) rows, and selects rows by key."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CursorResult,
    FromClause,
    Integer,
    Table,
    TableValuedAlias,
    and_,
    cast,
    column,
    func,
    literal,
    select,
    true,
    tuple_,
)

from verifywise_mlflow.common.untrusted_text import has_visible_character
from verifywise_mlflow.connector.models import (
    DatasetInput,
    LoggedModel,
    ModelVersion,
    Redaction,
    RegisteredModel,
    TrainingRun,
)
from verifywise_mlflow.persistence.batch_limits import ROWS_PER_BATCH
from verifywise_mlflow.persistence.bulk_upsert import upsert_rows
from verifywise_mlflow.persistence.pg_text_codec import Text, escape
from verifywise_mlflow.persistence.session import TenantSession

Row: TypeAlias = dict[str, object]
Key: TypeAlias = tuple[str, int]
"""A version's model name and number."""

E = TypeVar("E", RegisteredModel, ModelVersion, TrainingRun, LoggedModel)


def columns_of(entity: object) -> Row:
    """Return a dataclass's fields by name; a tuple of dataclasses becomes a list of such rows."""
    kind: type = type(entity)
    return {
        name: value if not isinstance(value := getattr(entity, name), tuple) else _column(value)
        for name in _names(kind)
    }


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _column(value: tuple[object, ...]) -> object:
    return [columns_of(item) for item in value] if value and is_dataclass(value[0]) else value


def upsert(session: TenantSession, table: Table, rows: Sequence[Row]) -> None:
    """Upsert rows by primary key, each with a new revision if the table has revisions, in batches.

    All rows have the same columns, and each key occurs once.
    """
    for start in range(0, len(rows), ROWS_PER_BATCH):
        upsert_rows(session, table, rows[start : start + ROWS_PER_BATCH])


def is_one_of(table: Table, keys: Collection[Key]) -> ColumnElement[bool]:
    """Return the condition that a row belongs to one of the given versions.

    The condition has two arrays as parameters. As pairs, 500 keys would become 500 conditions, and planning these would
    take ten times as long as the read.
    """
    wanted = key_rows(keys)
    return tuple_(table.c.model_name, table.c.version_number).in_(select(wanted.c.model_name, wanted.c.version_number))


def key_rows(keys: Collection[Key]) -> TableValuedAlias:
    """Return versions' keys as rows of a query, with the columns ``model_name`` and ``version_number``."""
    return (
        func.unnest(
            cast([name for name, _ in keys], ARRAY(Text)),
            cast([number for _, number in keys], ARRAY(Integer)),
        )
        .table_valued(column("model_name", Text), column("version_number", Integer))
        .render_derived()
    )


def rows_of(table: Table, columns: Mapping[str, Sequence[object]]) -> TableValuedAlias:
    """Return values as rows of a query, with the names and types of the table's columns: one array per column."""
    return (
        func.unnest(*(cast(values, ARRAY(table.c[name].type)) for name, values in columns.items()))
        .table_valued(*(column(name, table.c[name].type) for name in columns))
        .render_derived()
    )


def looked_up(
    table: Table, rows: FromClause, key: Mapping[str, ColumnElement[Any]], columns: Sequence[str] = ()
) -> FromClause:
    """Return a subquery for the row of a table with a given primary key, for a join.

    The subquery has a limit, so Postgres must run it for each of ``rows``, and uses the primary key. Without the limit,
    the kind of join would depend on statistics, which a table does not have while it is filled for the first time.

    Args:
        table: The table.
        rows: The rows to join it to, which have the column ``tenant_id``.
        key: Expressions over ``rows``, one for each column of the primary key except the tenant.
        columns: The columns to read; all if none are given.
    """
    read = [table.c[name] for name in columns] or [*table.c]
    conditions = [table.c.tenant_id == rows.c.tenant_id, *(table.c[name] == value for name, value in key.items())]
    return select(*read).where(*conditions).limit(1).lateral(f"{table.name}_by_key")


def rows_by_key(
    session: TenantSession,
    table: Table,
    keys: Mapping[str, Sequence[object]],
    columns: Sequence[str] = (),
    options: Mapping[str, bool] = MappingProxyType({}),
) -> CursorResult[Any]:
    """Return the rows with the given keys, in no order. Keys without a row are left out.

    Args:
        session: The tenant's transaction.
        table: The table.
        keys: For each column of the primary key except the tenant, its values. The values at one position form a key.
        columns: The columns to read; all if none are given.
        options: Execution options of the query.
    """
    wanted = rows_of(table, keys)
    tenant = select(literal(session.tenant_id, Text).label("tenant_id")).subquery("tenant")
    found = looked_up(table, tenant, {name: wanted.c[name] for name in keys}, columns)
    query = select(found).select_from(tenant.join(wanted, true()).join(found, true()))
    return session.execute(query.execution_options(**options))


def dicts_of(rows: CursorResult[Any]) -> Iterator[dict[str, Any]]:
    """Yield each row as a dictionary. SQLAlchemy's own way looks each column up by itself, which takes longer."""
    names = tuple(rows.keys())
    return (dict(zip(names, row, strict=True)) for row in rows)


def keys_of_versions(keys: Collection[Key]) -> dict[str, Sequence[object]]:
    """Return the keys of versions by column."""
    return {"model_name": [name for name, _ in keys], "version_number": [number for _, number in keys]}


def same_version(left: FromClause, right: FromClause) -> ColumnElement[bool]:
    """Return the condition that rows of two tables belong to the same version of the same tenant."""
    return and_(*(left.c[name] == right.c[name] for name in ("tenant_id", "model_name", "version_number")))


def fingerprints(session: TenantSession, table: Table, keys: Collection[Key]) -> dict[Key, str]:
    """Return the fingerprints of a table's rows for the given versions."""
    rows = rows_by_key(session, table, keys_of_versions(keys), ("model_name", "version_number", "fingerprint"))
    return {(name, number): fingerprint for name, number, fingerprint in rows}


def to_entity(kind: type[E], row: Mapping[str, object], **other: object) -> E:
    """Return the entity that a row was built from; ``other`` has the fields that the row names otherwise."""
    entity_type: type = kind
    values = {name: row[name] for name in _names(entity_type) if name in row and name not in other}
    for name in ("problems", "logged_model_ids"):
        if name in values:
            values[name] = tuple(_list(values[name]))
    if "metrics" in values:
        values["metrics"] = to_floats(values["metrics"])
    if "datasets" in values:
        values["datasets"] = tuple(DatasetInput(**item) for item in _list(values["datasets"]) if isinstance(item, dict))
    if "redactions" in values:
        values["redactions"] = tuple(
            Redaction(**item) for item in _list(values["redactions"]) if isinstance(item, dict)
        )
    return kind(**values, **other)  # type: ignore[arg-type]  # the columns are the entity's fields


def to_floats(stored: object) -> dict[str, float]:
    """Return stored metrics as floats. In JSON, numbers that are not finite are stored as their names."""
    return {str(key): float(value) for key, value in stored.items()} if isinstance(stored, dict) else {}


def _list(stored: object) -> Iterable[object]:
    return stored if isinstance(stored, list) else ()


MAX_NAME_BYTES = 2_000
"""The maximum length of a name in a key, in bytes as stored. An entry of a Postgres index has at most 2,704 bytes, and
a key has other parts, too."""


def fits_in_key(*names: str | None) -> bool:
    """Return whether all names except None can be parts of a key: they are short, and have a visible character."""
    return all(name is None or key_problem(name) is None for name in names)


def key_problem(name: str) -> str | None:
    """Return why a name cannot be part of a key, as the end of a sentence; None if it can."""
    if len(escape(name).encode()) > MAX_NAME_BYTES:
        return f"has more than {MAX_NAME_BYTES} bytes"
    if not has_visible_character(name):
        return "consists of invisible characters, which no page can show"
    return None
