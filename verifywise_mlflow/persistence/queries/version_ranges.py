"""Selects rows by model and version: the rows of single versions, of parts of models, or of whole models.

The ranges are passed as arrays and looked up one by one, regardless of Postgres' statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.sql.expression import TextClause

from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA

ROWS_PER_FETCH: Final = 100
"""The maximum number of long rows in one fetch of the driver. The verdicts on a version have some 30 KB, and Postgres
writes a fetch of more than 4 MB (``work_mem``) to a file first.
"""
SHORT_ROWS_PER_FETCH: Final = 2_000
"""The maximum number of rows of less than 1 KB in one fetch."""
_LOWEST: Final = -(2**31)
_HIGHEST: Final = 2**31 - 1


class VersionRange(NamedTuple):
    """Versions of a model. Number 0 is the model itself."""

    model_name: str
    """The name in its stored form: see ``pg_text_codec``."""
    first: int = _LOWEST
    last: int = _HIGHEST
    """The last number, included."""

    @classmethod
    def of(cls, key: Key) -> VersionRange:
        """Return the range of one version."""
        name, number = key
        return cls(name, number, number)


@dataclass(frozen=True, slots=True)
class RangeQuery:
    """A query of the rows in ranges. A row begins with the model's name and the version's number."""

    statement: TextClause
    rows_per_fetch: int = ROWS_PER_FETCH

    def rows(self, session: TenantSession, ranges: Sequence[VersionRange]) -> Iterator[Row[Any]]:
        """Yield the rows, in no order."""
        statement = self.statement.execution_options(yield_per=self.rows_per_fetch)
        rows = session.execute(statement, _parameters(session, ranges))
        for page in rows.partitions(self.rows_per_fetch):  # yield_per does not limit the pages of a textual query
            yield from page


def _parameters(session: TenantSession, ranges: Sequence[VersionRange]) -> dict[str, object]:
    names, firsts, lasts = ([versions[place] for versions in ranges] for place in range(3))
    return {"tenant_id": escape(session.tenant_id), "names": names, "firsts": firsts, "lasts": lasts}


def range_query(
    table: str, columns: str, *, of_models: bool = False, rows_per_fetch: int = SHORT_ROWS_PER_FETCH
) -> RangeQuery:
    """Return the query of some columns of a table. With ``of_models``, it reads the rows without a version's number."""
    fields = f"model_name, coalesce(version_number, 0), {columns}"
    query = nested_range_query(
        table,
        lambda rows: f"SELECT {fields} FROM {rows}",  # noqa: S608  # names of our own tables and columns alone
        of_models=of_models,
    )
    return replace(query, rows_per_fetch=rows_per_fetch)


def nested_range_query(table: str, select: Callable[[str], str], *, of_models: bool = False) -> RangeQuery:
    """Return a query whose SELECT is made from ``table AS s WHERE condition``."""
    condition = "version_number BETWEEN k.first AND k.last"
    if of_models:
        condition = "version_number IS NULL AND 0 BETWEEN k.first AND k.last"
    rows = f"{SCHEMA}.{table} AS s WHERE tenant_id = :tenant_id AND s.model_name = k.model_name AND s.{condition}"
    # OFFSET 0: Postgres must not join the tables as a whole.
    return RangeQuery(
        text(
            f"""
            SELECT t.*
            FROM unnest(CAST(:names AS text[]), CAST(:firsts AS integer[]), CAST(:lasts AS integer[]))
                     AS k (model_name, first, last)
                 CROSS JOIN LATERAL ({select(rows)} OFFSET 0) AS t
            """  # noqa: S608  # names of our own tables and columns alone
        )
    )
