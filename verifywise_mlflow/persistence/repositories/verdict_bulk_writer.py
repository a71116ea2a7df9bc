"""Upserts verdicts and badges in bulk: 100,000 records and 25 rules make 2.5 million verdicts.

SQLAlchemy needs some 20 µs per row to build a statement of 17 columns. Here each column is sent as one text, which
Postgres splits. COPY would be as fast, but Postgres refuses it on tables with row-level security.
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
"""Rows of one statement."""


class VerdictRow(NamedTuple):
    """A verdict's columns, all as text; JSON as ``pg_text_codec.dumps`` writes it. In the order of ``_COLUMNS``."""

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
    """Verdicts to write, by column: with one tuple per row, Python's cycle detection would visit each."""

    def __init__(self) -> None:
        """Create it empty."""
        self.keys: list[Key] = []
        """The version of each verdict."""
        self.columns: tuple[list[str], ...] = tuple([] for _ in _COLUMNS)

    def __len__(self) -> int:
        """The number of verdicts."""
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
_SEPARATOR: Final = "\x1e"
"""A control character: canonical JSON escapes it, and our texts do not have it."""
OPEN_VERDICTS: Final = ("fail", "error", "not evidenced")
"""The verdicts that are open gaps."""
_KEY = ("tenant_id", "model_name", "version_number", "rule_id")
_PROVENANCE = ("evaluated_at", "sync_id")
_ALL = (*_KEY, *(name for name in _COLUMNS if name != "rule_id"), *_PROVENANCE)


def _value(name: str) -> str:
    cell = f"nullif(t.{name}, '')" if name == "day" else f"t.{name}"
    return cell if _COLUMNS[name] == "text" else f"{cell}::{_COLUMNS[name]}"


_unnested = ", ".join(f"string_to_array(:{name}, E'\\x1e')" for name in ("at", *_COLUMNS))
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
# open_since is set for new rows only: the trigger that saves a former verdict maintains it for the others.
_UPSERT = text(
    f"""
    INSERT INTO {SCHEMA}.compliance_results ({", ".join(_ALL)}, open_since)
    SELECT {_selected}, CASE WHEN t.verdict IN ({_open}) THEN CAST(:evaluated_at AS timestamptz) END
    FROM unnest({_unnested}) AS t (at, {", ".join(_COLUMNS)})
    WHERE t.at <> ''
    ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET {_replaced}
    """  # noqa: S608  # names of our own columns alone
)


def upsert_verdicts(session: TenantSession, rows: VerdictRows, now: datetime, sync_id: str) -> None:
    """Upsert verdicts by version and rule."""
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
    versions_digest: str | None
    """A digest of the model's versions in use, if this is one."""


_UPSERT_BADGES = text(
    f"""
    INSERT INTO {SCHEMA}.compliance_badges (
        tenant_id, model_name, version_number, badge, record_revision, policy_digest, evaluated_at, sync_id, changed_at,
        versions_digest
    )
    SELECT :tenant_id, t.model_name, t.version_number, t.badge, t.revision, :digest, CAST(:now AS timestamptz),
           :sync_id, CAST(:now AS timestamptz), t.versions_digest
    FROM unnest(
        CAST(:names AS text[]), CAST(:numbers AS integer[]), CAST(:badges AS text[]), CAST(:revisions AS bigint[]),
        CAST(:versions AS text[])
    ) AS t (model_name, version_number, badge, revision, versions_digest)
    ON CONFLICT (tenant_id, model_name, version_number) DO UPDATE SET
        badge = excluded.badge, record_revision = excluded.record_revision, policy_digest = excluded.policy_digest,
        evaluated_at = excluded.evaluated_at, sync_id = excluded.sync_id, changed_at = excluded.changed_at,
        versions_digest = excluded.versions_digest
    """  # noqa: S608  # the schema's name is a constant
)


def upsert_badges(session: TenantSession, rows: Sequence[BadgeRow], digest: str, now: datetime, sync_id: str) -> None:
    """Upsert badges by version. A trigger saves a former badge."""
    if rows:
        names, numbers, badges, revisions, versions = zip(*rows, strict=True)
        session.execute(
            _UPSERT_BADGES,
            {
                "tenant_id": escape(session.tenant_id),
                "names": [escape(name) for name in names],
                "numbers": list(numbers),
                "badges": list(badges),
                "revisions": list(revisions),
                "versions": list(versions),
                "digest": digest,
                "now": now,
                "sync_id": escape(sync_id),
            },
        )


def _joined(cells: Sequence[str]) -> str:
    """Return the cells, each followed by the separator: Postgres splits an empty text into no cells."""
    joined = _SEPARATOR.join(cells)
    if joined.count(_SEPARATOR) != len(cells) - 1:  # the text of an error may contain the separator
        joined = _SEPARATOR.join(cell.replace(_SEPARATOR, " ") for cell in cells)
    return joined + _SEPARATOR
