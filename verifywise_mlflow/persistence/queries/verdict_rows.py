"""Reads the verdicts in the tables, version by version, with each column joined to one text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from verifywise_mlflow.persistence.queries.stored_states import StoredVerdicts
from verifywise_mlflow.persistence.queries.version_ranges import RangeQuery, VersionRange, nested_range_query
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import SHARED_VERDICT_COLUMNS, VERDICT_ARRAYS, VERDICT_COLUMNS

_ARRAYS: Final[Mapping[str, str]] = dict(zip(VERDICT_COLUMNS, VERDICT_ARRAYS, strict=True))
"""The array that has the cells of a column."""


def verdict_rows(session: TenantSession, ranges: Sequence[VersionRange]) -> Iterator[tuple[Key, StoredVerdicts]]:
    """Yield the current and former verdicts on versions, in no order.

    Most versions have the same rules, policies, thresholds and days. The query compares each row with the first row,
    and leaves equal columns out. Joining and sending these columns would take longer.
    """
    nothing = dict.fromkeys(SHARED_VERDICT_COLUMNS)  # null equals no array, not even an empty one
    row = _QUERIES["version_verdicts"].first_row(session, ranges, nothing)
    shared = _verdicts("version_verdicts", row[2:], None) if row else None
    cells = shared.shared_cells() if shared and shared.is_well_formed() else nothing
    for table, query in _QUERIES.items():
        for name, number, *fields in query.rows(session, ranges, cells):
            yield (name, number), _verdicts(table, fields, shared)


def _verdicts(table: str, fields: Sequence[Any], shared: StoredVerdicts | None) -> StoredVerdicts:
    is_shared, size, *others = fields
    columns = others[: len(VERDICT_COLUMNS)]
    if is_shared and shared:
        columns = [same if own is None else own for own, same in zip(columns, shared.columns, strict=True)]
    return StoredVerdicts(table, size, columns, *others[len(VERDICT_COLUMNS) :])


def _joined(column: str) -> str:
    joined = f"array_to_string({_ARRAYS[column]}, E'\\x1e', {'NULL' if column != 'day' else chr(39) * 2})"
    return f"CASE WHEN NOT is_shared THEN {joined} END" if column in SHARED_VERDICT_COLUMNS else joined


def _equals_shared(column: str) -> str:
    array = _ARRAYS[column]
    collation = ' COLLATE "C"' if VERDICT_ARRAYS[array] == "text" else ""  # "C" compares bytes
    return f"{array}{collation} = CAST(:{column} AS {VERDICT_ARRAYS[array]}[])"


_FIELDS: Final = ", ".join(
    (
        "is_shared",
        # A null day is an empty cell, and equal times and syncs are sent once. So the joined texts do not show how many
        # elements these arrays have.
        "CASE WHEN size = ALL (ARRAY[cardinality(days), cardinality(evaluated_at), cardinality(sync_ids)])"
        " THEN size ELSE 0 END",
        *map(_joined, VERDICT_COLUMNS),
        "evaluated_at[1], sync_ids[1]",
        "CASE WHEN NOT follow_first THEN evaluated_at END, CASE WHEN NOT follow_first THEN sync_ids END",
        "opened",
        "CASE WHEN cardinality(opened) + cardinality(array_positions(open_since, NULL::timestamptz))"
        " <> size THEN open_since END",
    )
)


def _query(table: str, end: str) -> RangeQuery:
    has_shared = " AND ".join(map(_equals_shared, SHARED_VERDICT_COLUMNS))

    # Postgres unpacks a column at each use. So nested queries compute the values that are used twice only once.
    def select(rows: str) -> str:
        return f"""
            SELECT model_name, version_number, {_FIELDS}, {end} FROM (
                SELECT *, array_positions(open_since, evaluated_at[1]) AS opened,
                       evaluated_at[1] = ALL (evaluated_at) AND sync_ids[1] = ALL (sync_ids) AS follow_first,
                       cardinality(CASE WHEN is_shared THEN CAST(:rule_id AS text[]) ELSE rule_ids END) AS size
                FROM (
                    SELECT s.*, coalesce({has_shared}, false) AS is_shared FROM {rows} OFFSET 0
                ) AS compared
                OFFSET 0
            ) AS computed
        """  # noqa: S608  # names of our own tables and columns alone

    return nested_range_query(table, select)


_QUERIES: Final = {
    "version_verdicts": _query("version_verdicts", "NULL::timestamptz, NULL::text"),
    "version_verdict_history": _query("version_verdict_history", "valid_to, ended_by_sync_id"),
}
