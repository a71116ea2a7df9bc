"""Writes verdicts by the thousand: a re-evaluation of 100,000 records by 25 rules may write 2.5 million of them.

SQLAlchemy takes some 20 µs a row to make a statement of 17 columns; here each column goes to Postgres as one text,
which Postgres takes apart. COPY would be as fast, and is refused on tables with row-level security.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from verifywise_mlflow.persistence.codec import escape
from verifywise_mlflow.persistence.rows import Key
from verifywise_mlflow.persistence.tables import SCHEMA

ROWS: Final = 5_000
"""Of one statement."""


class VerdictRow(NamedTuple):
    """A verdict as it is kept. What is JSON is written already, as ``codec.dumps`` would."""

    key: Key
    rule_id: str
    rule_version: int
    verdict: str
    reason: str
    values: str
    policy_id: str
    policy_version: str
    origins: str
    thresholds: str
    day: str
    """ISO 8601; empty for none."""
    input_hash: str
    fingerprint: str


_COLUMNS: Final = {
    "rule_id": "text",
    "rule_version": "integer",
    "verdict": "text",
    "reason": "text",
    "values": "jsonb",
    "policy_id": "text",
    "policy_version": "text",
    "origins": "jsonb",
    "thresholds": "jsonb",
    "day": "date",
    "input_hash": "text",
    "fingerprint": "text",
}
_BETWEEN: Final = "\x1e"
"""A control character, which canonical JSON has only as an escape and our sentences not at all."""
_KEY = ("tenant_id", "model_name", "version_number", "rule_id")
_TOLD = ("evaluated_at", "sync_id")
_ALL = (*_KEY, *(name for name in _COLUMNS if name != "rule_id"), *_TOLD)


def _value(name: str) -> str:
    given = f"nullif(t.{name}, '')" if name == "day" else f"t.{name}"
    return given if _COLUMNS[name] == "text" else f"{given}::{_COLUMNS[name]}"


_given = ", ".join(f"string_to_array(:{name}, E'\\x1e')" for name in ("at", *_COLUMNS))
_selected = ", ".join(
    [
        ":tenant_id",
        "(CAST(:names AS text[]))[t.at::integer]",
        "(CAST(:numbers AS integer[]))[t.at::integer]",
        *(_value(name) for name in _COLUMNS),
        "CAST(:evaluated_at AS timestamptz)",
        ":sync_id",
    ]
)
_replaced = ", ".join(f"{name} = excluded.{name}" for name in _ALL if name not in _KEY)
_UPSERT = text(
    f"""
    INSERT INTO {SCHEMA}.compliance_results ({", ".join(_ALL)})
    SELECT {_selected}
    FROM unnest({_given}) AS t (at, {", ".join(_COLUMNS)})
    WHERE t.at <> ''
    ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET {_replaced}
    """  # noqa: S608  # names of our own columns alone
)


def write(connection: Connection, tenant_id: str, rows: Sequence[VerdictRow], now: datetime, sync_id: str) -> None:
    """Insert verdicts, or put them in the place of those of the same version and rule."""
    for start in range(0, len(rows), ROWS):
        batch = rows[start : start + ROWS]
        places = {key: place for place, key in enumerate(dict.fromkeys(row.key for row in batch), start=1)}
        columns = {name: _joined([str(getattr(row, name)) for row in batch]) for name in _COLUMNS}
        connection.execute(
            _UPSERT,
            {
                **columns,
                "at": _joined([str(places[row.key]) for row in batch]),
                "tenant_id": escape(tenant_id),
                "names": [escape(name) for name, _ in places],
                "numbers": [number for _, number in places],
                "evaluated_at": now,
                "sync_id": escape(sync_id),
            },
        )


def _joined(cells: Sequence[str]) -> str:
    """Return the cells with a sign behind each: of '' alone, Postgres would make no cell at all."""
    joined = _BETWEEN.join(cells)
    if joined.count(_BETWEEN) != len(cells) - 1:  # an error's text could quote anything
        joined = _BETWEEN.join(cell.replace(_BETWEEN, " ") for cell in cells)
    return joined + _BETWEEN
