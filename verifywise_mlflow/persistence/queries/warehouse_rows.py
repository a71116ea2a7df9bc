"""The rows of a tenant that were not exported to a data warehouse yet, table by table.

Postgres' transaction numbers decide which rows are new: the system column ``xmin`` names the transaction that wrote a
row. Our own revisions and times are unsuitable. A transaction may commit after a later transaction was exported, and
the rows of the earlier transaction would be missed. A row that was written while another transaction was open may be
exported twice, but is never missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy import BigInteger, ColumnElement, bindparam, cast, literal_column, null, select, text
from sqlalchemy import Text as PlainText

from verifywise_mlflow.persistence.pg_text_codec import Text, restored_json
from verifywise_mlflow.persistence.queries.warehouse_tables import STORED, ExportTable
from verifywise_mlflow.persistence.session import TenantSession

Cells: TypeAlias = tuple[object, ...]
"""The values of a row. JSON values are texts."""

ROWS_AT_A_TIME: Final = 100
"""The maximum number of rows in one fetch of the driver, since one row may have a megabyte."""
_XID_MASK: Final = 2**32 - 1
"""Postgres stores the last 32 bits of a transaction's number."""
_tenant_id: Final[ColumnElement[str]] = literal_column(f"{STORED}.tenant_id", Text)
_XMIN: Final = cast(cast(literal_column(f"{STORED}.xmin"), PlainText), BigInteger)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the sequence of a database's transactions."""

    database: str
    """The database and its timeline. Transaction numbers are valid within one timeline only, and a restore changes the
    timeline."""
    oldest_open: int
    """The number of the oldest open transaction. The snapshot sees all transactions before this transaction."""
    next_transaction: int


def read_position(session: TenantSession) -> Position:
    """Return the position of the transaction's snapshot."""
    row = session.execute(
        text(
            """
            SELECT pg_snapshot_xmin(snapshot)::text::bigint, pg_snapshot_xmax(snapshot)::text::bigint,
                   concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
                             (SELECT timeline_id FROM pg_control_checkpoint()),
                             (SELECT oid FROM pg_database WHERE datname = current_database()))
            FROM pg_current_snapshot() AS snapshot
            """
        )
    ).one()
    return Position(database=row[2], oldest_open=row[0], next_transaction=row[1])


def changed_rows(session: TenantSession, table: ExportTable, now: Position, since: int | None) -> Iterator[Cells]:
    """Yield the rows of a table that transaction ``since`` or a later transaction wrote; without ``since``, all rows.

    Args:
        session: A transaction that sees one state of the database.
        table: The table.
        now: The position of that transaction.
        since: ``oldest_open`` of the last export's position.
    """
    json_cells = [place for place, exported in enumerate(table.columns) if exported.type == "json"]
    for stored, expressions in table.sources:
        cells_of_row = [expressions.get(exported.name, null()).label(exported.name) for exported in table.columns]
        query = select(*cells_of_row).select_from(stored).where(_tenant_id == session.tenant_id)
        if since is not None:
            query = query.where(_written_from(now, since))
        for row in session.execute(query.execution_options(yield_per=ROWS_AT_A_TIME)):
            cells = list(row)
            for place in json_cells:
                if cells[place] is not None:
                    cells[place] = restored_json(cells[place])
            yield tuple(cells)


def _written_from(now: Position, since: int) -> ColumnElement[bool]:
    """Return the condition that a transaction with this number or a later number wrote the row."""
    following = bindparam("next_transaction", now.next_transaction, BigInteger)
    age = (following - _XMIN).op("&", return_type=BigInteger())(_XID_MASK)
    return following - age >= since
