"""Reads the states in the tables and the states in the log, version by version, to compare them.

The functions for states yield the states of all versions in some ranges, in no order. Each row is hashed as it arrives
and then discarded, so memory does not grow with the number of a version's states. ``record_rows`` and ``event_rows``
yield rows of single versions, in no order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson
from sqlalchemy import (
    ARRAY,
    DateTime,
    Integer,
    Table,
    cast,
    column,
    func,
    literal_column,
    null,
    select,
    true,
)
from sqlalchemy import Text as PlainText
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.expression import TableValuedAlias

from verifywise_mlflow.audit.state_leaf import content_hash
from verifywise_mlflow.persistence.pg_text_codec import dumps, loads
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredBadge, StoredState
from verifywise_mlflow.persistence.queries.version_ranges import ROWS_PER_FETCH, VersionRange, range_query
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import (
    INTEGRITY_COLUMNS,
    LIFECYCLE_COLUMNS,
    RECORD_COLUMNS,
    manifest_content,
)
from verifywise_mlflow.persistence.tables import (
    canonical_record_history,
    canonical_records,
    integrity_events,
    lifecycle_events,
)

_LOGGED: Final = range_query("state_log", "position, kind, object_id, written_at, sync_id, content")
_NO_END: Final = "NULL::timestamptz, NULL::text"
_BADGE: Final = "badge, changed_at, sync_id"
_BADGES: Final = range_query("compliance_badges", f"{_BADGE}, {_NO_END}")
_BADGE_HISTORY: Final = range_query("compliance_badge_history", f"{_BADGE}, valid_to, ended_by_sync_id")
_MANIFESTS: Final = range_query("artifact_manifests", "changed_at, manifest::text", rows_per_fetch=ROWS_PER_FETCH)


def logged_states(session: TenantSession, ranges: Sequence[VersionRange]) -> Iterator[tuple[Key, LoggedState]]:
    """Yield the states of versions that the log has."""
    for name, number, *fields in _LOGGED.rows(session, ranges):
        yield (name, number), LoggedState(*fields)


def record_states(session: TenantSession, ranges: Sequence[VersionRange]) -> Iterator[tuple[Key, StoredState]]:
    """Yield the states of records.

    The columns are read as texts, and the content is built from these texts. The content equals the result of
    ``record_content``, which would take twice as long, since it needs decoded values.
    """
    for table, query in (("canonical_records", _RECORDS), ("canonical_record_history", _RECORD_HISTORY)):
        for row in query.rows(session, ranges):
            content = _RECORD.content_hash(row[2:])
            yield (row[0], row[1]), StoredState(table, "", row[-4], row[-3], content, row[-2], row[-1])


@dataclass(frozen=True, slots=True)
class _TextColumns:
    """Columns that are read as texts, sorted by name as in the content that is hashed."""

    names: Sequence[str]
    makers: Sequence[tuple[str, Callable[[Any], str]]]
    """The columns whose text is converted before it is hashed, each with the function that converts it."""

    @classmethod
    def of(cls, table: Table, names: Iterable[str]) -> _TextColumns:
        """Return columns of a table."""
        in_order = sorted(names)
        return cls(in_order, [(name, maker) for name in in_order if (maker := _text_maker(table, name))])

    def content_hash(self, cells: Sequence[Any]) -> str:
        """Return the hash of the content of a row, which begins with the cells of these columns."""
        texts = dict(zip(self.names, cells, strict=False))
        for name, make in self.makers:
            if (cell := texts[name]) is not None:
                texts[name] = make(cell)
        return content_hash(texts)


def _as_texts(table: Table, names: Iterable[str]) -> str:
    """Return the columns for a query, in the form from which ``_text_maker`` makes texts."""
    return ", ".join(name if isinstance(table.c[name].type, DateTime) else f"{name}::text" for name in names)


def _utc_text(value: datetime) -> str:
    return (value if value.tzinfo is UTC else value.astimezone(UTC)).isoformat()


def canonical_json(stored: str) -> str:
    """Return JSON in the form that ``dumps`` writes, from JSON in the form that Postgres writes."""
    return _short_json(stored) if len(stored) < MAX_REMEMBERED_JSON else _canonical_json(stored)


MAX_REMEMBERED_JSON: Final = 2_000
"""The maximum length of JSON that is cached, in characters. Many records have equal short values, and versions of a
model have equal environments."""


def _canonical_json(stored: str) -> str:
    # orjson takes a quarter of the time of Python's encoder. The results differ in very large and very small numbers
    # only.
    canonical = orjson.dumps(orjson.loads(stored), option=orjson.OPT_SORT_KEYS)
    has_extreme_number = b"0.0000" in canonical or _EXPONENT.search(canonical)
    return dumps(loads(stored)) if has_extreme_number else canonical.decode()


_EXPONENT: Final = re.compile(rb"e[-+]?\d+(?:[,}\]]|\Z)")
"""The pattern begins with a letter, since a search for a letter is much faster than a search for the digits before
it."""


_short_json = lru_cache(maxsize=5_000)(_canonical_json)


def _text_maker(table: Table, name: str) -> Callable[[Any], str] | None:
    column_type = table.c[name].type
    if isinstance(column_type, JSONB):  # Postgres reformats JSONB; it keeps the text of other JSON
        return canonical_json
    return _utc_text if isinstance(column_type, DateTime) else None


_RECORD: Final = _TextColumns.of(canonical_records, RECORD_COLUMNS)
_RECORD_TEXTS: Final = _as_texts(canonical_records, _RECORD.names)
_RECORDS: Final = range_query(
    "canonical_records", f"{_RECORD_TEXTS}, changed_at, sync_id, {_NO_END}", rows_per_fetch=ROWS_PER_FETCH
)
_RECORD_HISTORY: Final = range_query(
    "canonical_record_history",
    f"{_RECORD_TEXTS}, changed_at, sync_id, valid_to, ended_by_sync_id",
    rows_per_fetch=ROWS_PER_FETCH,
)


def record_rows(session: TenantSession, keys: Sequence[Key]) -> Iterator[tuple[Key, str, Mapping[str, Any]]]:
    """Yield the rows of current and former records, each with its key and the name of its table."""
    wanted = _key_rows(keys)
    names = (*RECORD_COLUMNS, "revision", "changed_at", "sync_id", "fingerprint")
    for table in (canonical_records, canonical_record_history):
        ends = (
            [table.c[name] for name in ("valid_to", "ended_by_sync_id")]
            if "valid_to" in table.c
            else [null().label(name) for name in ("valid_to", "ended_by_sync_id")]
        )
        found = (
            select(*(table.c[name] for name in names), *ends)
            .where(
                table.c.tenant_id == session.tenant_id,
                table.c.model_name == wanted.c.model_name,
                table.c.version_number == wanted.c.version_number,
            )
            .offset(literal_column("0"))
            .lateral("s")
        )
        query = select(wanted.c.model_name.label("key_name"), wanted.c.version_number.label("key_number"), found)
        rows = session.execute(
            query.select_from(wanted.join(found, true())).execution_options(yield_per=ROWS_PER_FETCH)
        )
        columns = tuple(rows.keys())
        for row in rows:
            yield (row[0], row[1]), table.name, dict(zip(columns, row, strict=True))


def badge_states(session: TenantSession, ranges: Sequence[VersionRange]) -> Iterator[tuple[Key, StoredBadge]]:
    """Yield the current and former badges of versions."""
    for table, query in (("compliance_badges", _BADGES), ("compliance_badge_history", _BADGE_HISTORY)):
        for name, number, *fields in query.rows(session, ranges):
            yield (name, number), StoredBadge(table, *fields)


def manifest_states(session: TenantSession, ranges: Sequence[VersionRange]) -> Iterator[tuple[Key, StoredState]]:
    """Yield the manifests of versions. Former manifests are not stored."""
    for name, number, changed_at, manifest in _MANIFESTS.rows(session, ranges):
        content = content_hash(manifest_content(manifest))
        yield (name, number), StoredState("artifact_manifests", "", changed_at, None, content)


def event_states(session: TenantSession, ranges: Sequence[VersionRange]) -> Iterator[tuple[Key, str, StoredState]]:
    """Yield the events of versions and models, each with its kind of state. Columns are read as texts, like records."""
    for kind, table, columns in _EVENTS:
        text_columns = _TextColumns.of(table, columns)
        for query in _EVENT_QUERIES[kind]:
            for row in query.rows(session, ranges):
                content = text_columns.content_hash(row[5:])
                yield (row[0], row[1]), kind, StoredState(table.name, f"event {row[2]}", row[3], row[4], content)


_EVENTS: Final = (
    ("lifecycle event", lifecycle_events, LIFECYCLE_COLUMNS),
    ("integrity event", integrity_events, INTEGRITY_COLUMNS),
)


_EVENT_QUERIES: Final = {
    kind: [
        range_query(table.name, f"event_id, seen_at, sync_id, {_as_texts(table, sorted(columns))}", of_models=of_models)
        for of_models in ((False, True) if kind == "lifecycle event" else (False,))
    ]
    for kind, table, columns in _EVENTS
}


def event_rows(
    session: TenantSession, keys: Sequence[Key]
) -> Iterator[tuple[Key, str, Table, Sequence[str], Mapping[str, Any]]]:
    """Yield the rows of events, each with its key, its kind of state, its table and the columns of its content."""
    for kind, table, columns in _EVENTS:
        for are_of_models in (False, True) if kind == "lifecycle event" else (False,):
            wanted = _key_rows([key for key in keys if not are_of_models or key[1] == 0])
            number = table.c.version_number
            found = (
                select(table)
                .where(
                    table.c.tenant_id == session.tenant_id,
                    table.c.model_name == wanted.c.model_name,
                    number.is_(None) if are_of_models else number == wanted.c.version_number,
                )
                .offset(literal_column("0"))
                .lateral("s")
            )
            query = select(wanted.c.model_name.label("key_name"), wanted.c.version_number.label("key_number"), found)
            rows = session.execute(
                query.select_from(wanted.join(found, true())).execution_options(yield_per=ROWS_PER_FETCH)
            )
            names = tuple(rows.keys())
            for row in rows:
                yield (row[0], row[1]), kind, table, columns, dict(zip(names, row, strict=True))


def _key_rows(keys: Sequence[Key]) -> TableValuedAlias:
    """Return keys as rows of a query. Names are not escaped again."""
    return (
        func.unnest(
            cast([name for name, _ in keys], ARRAY(PlainText)), cast([number for _, number in keys], ARRAY(Integer))
        )
        .table_valued(column("model_name", PlainText), column("version_number", Integer))
        .render_derived()
    )
