"""Rows of the store as Dagster table metadata. Text that came from a server is escaped and cut."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import dagster as dg

from verifywise_mlflow.common.untrusted_text import excerpt

_MAX_CELL_LENGTH: Final = 120


def rows_table(rows: Sequence[Mapping[str, object]]) -> dg.TableMetadataValue:
    """Return rows as a table. There must be at least one row: its keys are the column names."""
    return dg.MetadataValue.table(
        [dg.TableRecord({name: cell(value) for name, value in row.items()}) for row in rows],
        schema=dg.TableSchema([dg.TableColumn(name) for name in rows[0]]),
    )


def cell(value: object) -> str | int | bool | None:
    """Return a value as a table cell: control, bidirectional and invisible characters escaped, long text cut."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return excerpt(
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), _MAX_CELL_LENGTH
    )
