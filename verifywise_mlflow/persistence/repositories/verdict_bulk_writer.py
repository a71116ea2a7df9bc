"""Writes verdicts and badges by the thousand: 100,000 records that are judged by 25 rules have 2.5 million verdicts.

SQLAlchemy takes some 20 µs a row to make a statement of 17 columns; here each column goes to Postgres as one text,
which Postgres takes apart. COPY would be as fast, and is refused on tables with row-level security.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text

from verifywise_mlflow.persistence.pg_text_codec import escape
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.tables import SCHEMA

ROWS_PER_STATEMENT: Final = 5_000
"""Of one statement."""


class VerdictRow(NamedTuple):
    """A verdict as it is kept, all as text: JSON as ``codec.dumps`` writes it. The order is that of ``_COLUMNS``."""

    rule_id: str
    rule_version: str
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


class VerdictRows:
    """Verdicts to be written, column by column: a tuple a row would make Python's search for cycles look at each."""

    def __init__(self) -> None:
        """Begin without a row."""
        self.keys: list[Key] = []
        """Whose they are."""
        self.columns: tuple[list[str], ...] = tuple([] for _ in _COLUMNS)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.keys)

    def add(self, key: Key, row: VerdictRow) -> None:
        """Add a version's verdict."""
        self.keys.append(key)
        for column, cell in zip(self.columns, row, strict=True):
            column.append(cell)


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
OPEN_VERDICTS: Final = ("fail", "error", "not evidenced")
"""The verdicts that are gaps."""
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
_open = ", ".join(f"'{verdict}'" for verdict in OPEN_VERDICTS)
# Since when a gap is open is said of a new row alone: the trigger that keeps a former verdict looks after the others.
_UPSERT = text(
    f"""
    INSERT INTO {SCHEMA}.compliance_results ({", ".join(_ALL)}, open_since)
    SELECT {_selected}, CASE WHEN t.verdict IN ({_open}) THEN CAST(:evaluated_at AS timestamptz) END
    FROM unnest({_given}) AS t (at, {", ".join(_COLUMNS)})
    WHERE t.at <> ''
    ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET {_replaced}
    """  # noqa: S608  # names of our own columns alone
)


def upsert_verdicts(session: TenantSession, rows: VerdictRows, now: datetime, sync_id: str) -> None:
    """Insert verdicts, or put them in the place of those of the same version and rule."""
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        batch = slice(start, start + ROWS_PER_STATEMENT)
        keys = rows.keys[batch]
        places = {key: str(place) for place, key in enumerate(dict.fromkeys(keys), start=1)}
        session.execute(
            _UPSERT,
            {
                **{name: _joined(column[batch]) for name, column in zip(_COLUMNS, rows.columns, strict=True)},
                "at": _joined([places[key] for key in keys]),
                "tenant_id": escape(session.tenant_id),
                "names": [escape(name) for name, _ in places],
                "numbers": [number for _, number in places],
                "evaluated_at": now,
                "sync_id": escape(sync_id),
            },
        )


class BadgeRow(NamedTuple):
    """A version's badge."""

    model_name: str
    version_number: int
    badge: str
    record_revision: int


_UPSERT_BADGES = text(
    f"""
    INSERT INTO {SCHEMA}.compliance_badges (
        tenant_id, model_name, version_number, badge, record_revision, policy_digest, evaluated_at, sync_id, changed_at
    )
    SELECT :tenant_id, t.model_name, t.version_number, t.badge, t.revision, :digest, CAST(:now AS timestamptz),
           :sync_id, CAST(:now AS timestamptz)
    FROM unnest(
        CAST(:names AS text[]), CAST(:numbers AS integer[]), CAST(:badges AS text[]), CAST(:revisions AS bigint[])
    ) AS t (model_name, version_number, badge, revision)
    ON CONFLICT (tenant_id, model_name, version_number) DO UPDATE SET
        badge = excluded.badge, record_revision = excluded.record_revision, policy_digest = excluded.policy_digest,
        evaluated_at = excluded.evaluated_at, sync_id = excluded.sync_id, changed_at = excluded.changed_at
    """  # noqa: S608  # the schema's name is a constant
)


def upsert_badges(session: TenantSession, rows: Sequence[BadgeRow], digest: str, now: datetime, sync_id: str) -> None:
    """Insert badges, or put them in the place of the same versions'. A trigger keeps a former word."""
    if rows:
        names, numbers, badges, revisions = zip(*rows, strict=True)
        session.execute(
            _UPSERT_BADGES,
            {
                "tenant_id": escape(session.tenant_id),
                "names": [escape(name) for name in names],
                "numbers": list(numbers),
                "badges": list(badges),
                "revisions": list(revisions),
                "digest": digest,
                "now": now,
                "sync_id": escape(sync_id),
            },
        )


def _joined(cells: Sequence[str]) -> str:
    """Return the cells with a sign behind each: of '' alone, Postgres would make no cell at all."""
    joined = _BETWEEN.join(cells)
    if joined.count(_BETWEEN) != len(cells) - 1:  # an error's text could quote anything
        joined = _BETWEEN.join(cell.replace(_BETWEEN, " ") for cell in cells)
    return joined + _BETWEEN
