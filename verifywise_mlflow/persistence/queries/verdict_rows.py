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


def _of_each(expression: str) -> str:
    arrays = (*sorted(VERDICT_ARRAYS), "evaluated_at", "sync_ids", "open_since")
    return ", ".join(map(expression.format, arrays))


_FIELDS: Final = ", ".join(
    (
        # Equal times and syncs are sent once. So they do not show how many elements these arrays have.
        # The views ignore the place at which an array begins.
        f"CASE WHEN 1 = ALL (ARRAY[{_of_each('array_ndims({})')}, {_of_each('array_lower({}, 1)')}])"
        f" AND cardinality(rule_ids) = ALL (ARRAY[{_of_each('cardinality({})')}])"
        " THEN cardinality(rule_ids) ELSE 0 END",
        # By default, a null is left out, and the element after it could have both cells.
        *(
            f"array_to_string({name}, E'\\x1e', E'\\x1d')" if name in VERDICT_ARRAYS else name
            for name in STORED_VERDICT_COLUMNS
        ),
        "evaluated_at[1], sync_ids[1]",
        "CASE WHEN NOT follow_first THEN evaluated_at END, CASE WHEN NOT follow_first THEN sync_ids END",
        "opened",
        "CASE WHEN cardinality(opened) + cardinality(never_opened) <> cardinality(rule_ids) THEN open_since END",
    )
)


def _positions(time: str) -> str:
    # In an array with two dimensions, which only a forger writes, Postgres refuses to search.
    return f"CASE WHEN array_ndims(open_since) = 1 THEN array_positions(open_since, {time}) END"


def _select(rows: str, end: str) -> str:
    # Postgres unpacks a column at each use. So a nested query computes the values that are used twice only once.
    return f"""
        SELECT model_name, version_number, {_FIELDS}, {end} FROM (
            SELECT s.*, {_positions("evaluated_at[1]")} AS opened, {_positions("NULL::timestamptz")} AS never_opened,
                   coalesce(
                       evaluated_at[1] = ALL (evaluated_at) AND sync_ids[1] = ALL (sync_ids), false
                   ) AS follow_first
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
