"""Reads the states in the tables and the states in the log, version by version, to compare them.

The functions for states yield the states of all versions in some ranges, in no order. Each row is hashed as it arrives
and then discarded, so memory does not grow with the number of a version's states. ``record_rows`` and ``event_rows``
yield rows of single versions, in no order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
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
from sqlalchemy.sql.expression import TableValuedAlias

from verifywise_mlflow.audit.state_leaf import content_hash
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredBadge, StoredState
from verifywise_mlflow.persistence.queries.text_columns import TextColumns
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


_RECORD: Final = TextColumns.of(canonical_records, RECORD_COLUMNS)
_RECORDS: Final = range_query(
    "canonical_records", f"{_RECORD.sql}, changed_at, sync_id, {_NO_END}", rows_per_fetch=ROWS_PER_FETCH
)
_RECORD_HISTORY: Final = range_query(
    "canonical_record_history",
    f"{_RECORD.sql}, changed_at, sync_id, valid_to, ended_by_sync_id",
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
        text_columns = TextColumns.of(table, columns)
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
        range_query(
            table.name, f"event_id, seen_at, sync_id, {TextColumns.of(table, columns).sql}", of_models=of_models
        )
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
