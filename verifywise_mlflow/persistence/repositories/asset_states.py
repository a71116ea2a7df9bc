"""The states of assets beyond models, such as agents.

They are written together with their entries in the log of states.

A trigger saves the former state of a row in the history table, from which former states are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, null, select, update

from verifywise_mlflow.persistence import row_mapping
from verifywise_mlflow.persistence.repositories import state_log
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_tables import StateTable
from verifywise_mlflow.persistence.tables import revisions


def write_states(
    session: TenantSession, asset: StateTable, rows: Sequence[row_mapping.Row], sync_id: str, now: datetime
) -> None:
    """Upsert rows, and append their states to the log."""
    row_mapping.upsert(session, asset.table, rows)
    state_log.append(session, asset.states(rows, sync_id, now))


def mark_deleted(
    session: TenantSession, asset: StateTable, condition: ColumnElement[bool], sync_id: str, now: datetime
) -> int:
    """Soft delete (tombstone) the rows that meet a condition, and log their states; return how many were living."""
    table = asset.table
    rows = session.execute(
        update(table)
        .where(table.c.tenant_id == session.tenant_id, condition, table.c.deleted_at.is_(None))
        .values(deleted_at=now, changed_at=now, sync_id=sync_id, revision=revisions.next_value())
        .returning(*table.c)
    )
    deleted = [*row_mapping.dicts_of(rows)]
    state_log.append(session, asset.states(deleted, sync_id, now))
    return len(deleted)


def present_and_former(
    session: TenantSession, asset: StateTable, columns: Sequence[str], condition: Callable[[Table], ColumnElement[bool]]
) -> list[Row[Any]]:
    """Return columns of the states that meet a condition: first current states, then former states, each in no order.

    The last two columns of a row are the time when a sync first saw the state, and the time when a sync first saw the
    next state. The last column is null for the current state.
    """
    present, former = asset.table, asset.history
    return [
        row
        for table, valid_to in ((present, null()), (former, former.c.valid_to))
        for row in session.execute(
            select(*(table.c[column] for column in columns), table.c.changed_at, valid_to).where(
                table.c.tenant_id == session.tenant_id, condition(table)
            )
        )
    ]
