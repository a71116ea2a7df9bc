"""Reads the verdicts in the tables, version by version, with each column joined to one text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from verifywise_mlflow.persistence.queries.stored_states import StoredVerdicts
from verifywise_mlflow.persistence.queries.version_ranges import VersionRange, nested_range_query
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import STORED_VERDICT_COLUMNS, VERDICT_ARRAYS


def verdict_rows(session: TenantSession, ranges: Sequence[VersionRange]) -> Iterator[tuple[Key, StoredVerdicts]]:
    """Yield the current and former verdicts on versions, in no order."""
    end = len(STORED_VERDICT_COLUMNS)
    for table, query in _QUERIES.items():
        for name, number, size, *fields in query.rows(session, ranges):
            yield (name, number), StoredVerdicts(table, size, fields[:end], *fields[end:])


_FIELDS: Final = ", ".join(
    (
        # Equal times and syncs are sent once. So they do not show how many elements these arrays have.
        "CASE WHEN cardinality(rule_ids) = ALL (ARRAY[cardinality(evaluated_at), cardinality(sync_ids)])"
        " THEN cardinality(rule_ids) ELSE 0 END",
        *(f"array_to_string({name}, E'\\x1e')" if name in VERDICT_ARRAYS else name for name in STORED_VERDICT_COLUMNS),
        "evaluated_at[1], sync_ids[1]",
        "CASE WHEN NOT follow_first THEN evaluated_at END, CASE WHEN NOT follow_first THEN sync_ids END",
        "opened",
        "CASE WHEN cardinality(opened) + cardinality(array_positions(open_since, NULL::timestamptz))"
        " <> cardinality(rule_ids) THEN open_since END",
    )
)


def _select(rows: str, end: str) -> str:
    # Postgres unpacks a column at each use. So a nested query computes the values that are used twice only once.
    return f"""
        SELECT model_name, version_number, {_FIELDS}, {end} FROM (
            SELECT s.*, array_positions(open_since, evaluated_at[1]) AS opened,
                   evaluated_at[1] = ALL (evaluated_at) AND sync_ids[1] = ALL (sync_ids) AS follow_first
            FROM {rows}
            OFFSET 0
        ) AS computed
    """  # noqa: S608  # names of our own tables and columns alone


_QUERIES: Final = {
    "version_verdicts": nested_range_query(
        "version_verdicts", lambda rows: _select(rows, "NULL::timestamptz, NULL::text")
    ),
    "version_verdict_history": nested_range_query(
        "version_verdict_history", lambda rows: _select(rows, "valid_to, ended_by_sync_id")
    ),
}
