"""Writes verdicts and badges in bulk: 100,000 records and 25 rules make 2.5 million verdicts.

SQLAlchemy needs some 20 µs per row to build a statement of 17 columns. Here each column is sent as one text, which
Postgres splits into versions. COPY would be as fast, but Postgres refuses it on tables with row-level security.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import text

from verifywise_mlflow.persistence.pg_text_codec import dumps, escape, unescape
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import (
    CELL_SEPARATOR,
    STORED_VERDICT_COLUMNS,
    VERDICT_ARRAYS,
    joined_columns,
)
from verifywise_mlflow.persistence.tables import SCHEMA

VERDICTS_PER_STATEMENT: Final = 5_000
"""The maximum number of verdicts in one statement. A version with more verdicts has a statement of its own."""


class VerdictRow(NamedTuple):
    """A verdict's columns, all as text, in their stored form and in the order of ``VERDICT_COLUMNS``."""

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
    """The day in ISO 8601; empty if the rule does not depend on the day."""
    input_hash: str
    fingerprint: str
    """The hash of the verdict; empty if the stored verdict of the rule stays as it is."""

    @classmethod
    def stored(cls, rule_id: str) -> VerdictRow:
        """Return the row which states that the stored verdict of a rule stays."""
        return cls(rule_id, "0", *[""] * 10)


class VersionVerdicts:
    """The verdicts to write: a row for each version.

    Each column of a version is joined to one text immediately. With one tuple per verdict, Python's cycle detection
    would visit each tuple.
    """

    def __init__(self) -> None:
        """Create an empty collection."""
        self._keys: list[Key] = []
        self._sizes: list[int] = []
        self._columns: tuple[list[str], ...] = tuple([] for _ in STORED_VERDICT_COLUMNS)

    def add(self, key: Key, verdicts: Sequence[VerdictRow]) -> list[str]:
        """Add all verdicts on a version, at least one; return their joined columns."""
        self._keys.append(key)
        self._sizes.append(len(verdicts))
        joined = joined_columns(verdicts)
        for column, cells in zip(self._columns, joined, strict=True):
            column.append(cells)
        return joined

    def statements(self) -> Iterator[dict[str, object]]:
        """Yield the parameters of each statement."""
        start = 0
        while start < len(self._keys):
            end, verdicts = start + 1, self._sizes[start]
            while end < len(self._keys) and verdicts + self._sizes[end] <= VERDICTS_PER_STATEMENT:
                verdicts += self._sizes[end]
                end += 1
            keys = self._keys[start:end]
            yield {
                "names": [escape(name) for name, _ in keys],
                "numbers": [number for _, number in keys],
                "sizes": self._sizes[start:end],
                **{
                    name: _joined(name, column[start:end])
                    for name, column in zip(STORED_VERDICT_COLUMNS, self._columns, strict=True)
                },
            }
            start = end


_VERSION_SEPARATOR: Final = "\x1d"
"""Control characters separate cells and versions. Canonical JSON escapes these characters. Among the other texts, only
the reason of an error can contain them."""
OPEN_VERDICTS: Final = ("fail", "error", "not evidenced")
"""The verdicts that are open gaps."""
_KEY = ("tenant_id", "model_name", "version_number")


def _joined(name: str, columns: Sequence[str]) -> str:
    """Return a column of several versions as one text."""
    if name not in VERDICT_ARRAYS:
        return _VERSION_SEPARATOR.join(columns)
    # Each version's text ends with a separator, since Postgres splits an empty text into no elements.
    return (CELL_SEPARATOR + _VERSION_SEPARATOR).join(columns) + CELL_SEPARATOR


def without_separators(text: str) -> str:
    """Return the text with spaces in place of the separators."""
    return text.replace(CELL_SEPARATOR, " ").replace(_VERSION_SEPARATOR, " ")


_NEEDS_RECODING: Final = re.compile(r"\\u0000|\\ud[89a-f]|\\u2400|\\u241b|e\+")
"""The parts of canonical JSON that Postgres refuses or changes."""


def stored_text(text: str) -> str:
    """Return a text as it is stored."""
    return escape(without_separators(text))


def stored_json(canonical: str) -> str:
    """Return canonical JSON as it is stored."""
    # Few values contain these characters, and a search for one character takes a tenth of the time of a pattern.
    has_escape = "\\" in canonical and "\\u" in canonical
    if (has_escape or ("+" in canonical and "e+" in canonical)) and _NEEDS_RECODING.search(canonical):
        return dumps(json.loads(canonical))
    return canonical


def _value(name: str) -> str:
    if name not in VERDICT_ARRAYS:
        return f"coalesce(t.{name}, '')"  # Postgres splits an empty text into no versions
    null = ", ''" if name == "fingerprints" else ""
    return f"trim_array(string_to_array(t.{name}, E'\\x1e'{null}), 1)"


_names = ", ".join(STORED_VERDICT_COLUMNS)
_split = ", ".join(f"string_to_array(:{name}, E'\\x1d')" for name in STORED_VERDICT_COLUMNS)
_open = ", ".join(f"'{verdict}'" for verdict in OPEN_VERDICTS)
_selected = {
    **{name: _value(name) for name in STORED_VERDICT_COLUMNS},
    "evaluated_at": "array_fill(CAST(:evaluated_at AS timestamptz), ARRAY[t.size])",
    "sync_ids": "array_fill(CAST(:sync_id AS text), ARRAY[t.size])",
    # This sets the time for the first verdict of a rule only. For later verdicts, the trigger that saves the former
    # verdict sets it.
    "open_since": f"ARRAY(SELECT CASE WHEN verdict IN ({_open}) THEN CAST(:evaluated_at AS timestamptz) END "  # noqa: S608
    f"FROM unnest({_value('verdicts')}) WITH ORDINALITY AS u (verdict, place) ORDER BY place)",
}
_UPSERT = text(
    f"""
    INSERT INTO {SCHEMA}.version_verdicts ({", ".join(_KEY)}, {", ".join(_selected)})
    SELECT :tenant_id, t.model_name, t.version_number, {", ".join(_selected.values())}
    FROM unnest(CAST(:names AS text[]), CAST(:numbers AS integer[]), CAST(:sizes AS integer[]), {_split})
         AS t (model_name, version_number, size, {_names})
    ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _selected)}
    """  # noqa: S608  # names of our own columns alone
)


def upsert_verdicts(session: TenantSession, verdicts: VersionVerdicts, now: datetime, sync_id: str) -> None:
    """Upsert the verdicts on versions. A trigger keeps stored verdicts, and saves ended verdicts as history."""
    for parameters in verdicts.statements():
        session.execute(
            _UPSERT,
            {
                **parameters,
                "tenant_id": escape(session.tenant_id),
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
    """A digest of the model's versions in use, if this version is in use."""


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
    RETURNING model_name, version_number, changed_at = CAST(:now AS timestamptz) AND sync_id = :sync_id
    """  # noqa: S608  # the schema's name is a constant
)


def upsert_badges(
    session: TenantSession, rows: Sequence[BadgeRow], digest: str, now: datetime, sync_id: str
) -> set[Key]:
    """Upsert badges by version; return the versions whose badge is new or changed. A trigger saves the former badge."""
    if not rows:
        return set()
    names, numbers, badges, revisions, versions = zip(*rows, strict=True)
    returned = session.execute(
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
    return {(unescape(name), number) for name, number, has_begun in returned if has_begun}
