"""Reads the states in the tables and in the log, version by version, to compare them.

Each function takes the keys of some versions and yields the states of all of them, in no order: the keys are passed as
arrays and looked up one by one, regardless of Postgres' statistics. Each row is hashed as it arrives and then
discarded, so memory does not grow with the number of a version's states.

Names are in their stored form: see ``pg_text_codec``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

import orjson
from sqlalchemy import (
    ARRAY,
    DateTime,
    Integer,
    Row,
    Table,
    cast,
    column,
    func,
    literal_column,
    null,
    select,
    text,
    true,
)
from sqlalchemy import Text as PlainText
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.expression import TableValuedAlias, TextClause

from verifywise_mlflow.audit.state_leaf import content_hash
from verifywise_mlflow.persistence.pg_text_codec import dumps, escape, loads
from verifywise_mlflow.persistence.queries.stored_states import LoggedState, StoredBadge, StoredState, StoredVerdicts
from verifywise_mlflow.persistence.row_mapping import Key
from verifywise_mlflow.persistence.session import TenantSession
from verifywise_mlflow.persistence.state_contents import (
    INTEGRITY_COLUMNS,
    LIFECYCLE_COLUMNS,
    RECORD_COLUMNS,
    VERDICT_COLUMNS,
    manifest_content,
)
from verifywise_mlflow.persistence.tables import (
    SCHEMA,
    canonical_record_history,
    canonical_records,
    integrity_events,
    lifecycle_events,
)

ROWS_PER_FETCH: Final = 100
"""The most rows that the driver fetches at once. The verdicts on a version have some 35 KB, and Postgres writes a fetch
of more than 4 MB (``work_mem``) to a file first.
"""


_KEYS: Final = "unnest(CAST(:names AS text[]), CAST(:numbers AS integer[])) AS k (model_name, version_number)"


def _of_keys(table: str, columns: str, condition: str = "version_number = k.version_number") -> TextClause:
    # OFFSET 0: Postgres must not join the tables as a whole.
    return text(
        f"""
        SELECT k.model_name, k.version_number, t.* FROM {_KEYS} CROSS JOIN LATERAL (
            SELECT {columns} FROM {SCHEMA}.{table} AS s
            WHERE tenant_id = :tenant_id AND s.model_name = k.model_name AND s.{condition} OFFSET 0
        ) AS t
        """  # noqa: S608  # names of our own tables and columns alone
    ).execution_options(yield_per=ROWS_PER_FETCH)


_LOGGED: Final = _of_keys("state_log", "position, kind, object_id, written_at, sync_id, content")
_NAMES: Final = (
    *("rule_ids", "rule_versions", "verdicts", "reasons", "values", "policy_ids", "policy_versions", "origins"),
    *("thresholds", "days", "input_hashes", "fingerprints"),
)
_VERDICT_FIELDS: Final = ", ".join(
    (
        # A null day is an empty cell, so the joined text does not show whether the array has an element for it.
        "CASE WHEN cardinality(days) = cardinality(rule_ids) THEN cardinality(rule_ids) ELSE 0 END",
        *(f"array_to_string({name}, E'\\x1e', {'NULL' if name != 'days' else chr(39) * 2})" for name in _NAMES),
        "evaluated_at[1], sync_ids[1]",
        "CASE WHEN NOT follow_first THEN evaluated_at END, CASE WHEN NOT follow_first THEN sync_ids END",
        "opened",
        "CASE WHEN cardinality(opened) + cardinality(array_positions(open_since, NULL::timestamptz))"
        " <> cardinality(rule_ids) THEN open_since END",
    )
)


def _verdicts_of_keys(table: str, end: str) -> TextClause:
    # Postgres unpacks a column at each use, so values that are used twice are computed once.
    return text(
        f"""
        SELECT k.model_name, k.version_number, t.* FROM {_KEYS} CROSS JOIN LATERAL (
            SELECT {_VERDICT_FIELDS}, {end} FROM (
                SELECT s.*, array_positions(open_since, evaluated_at[1]) AS opened,
                       evaluated_at[1] = ALL (evaluated_at) AND sync_ids[1] = ALL (sync_ids) AS follow_first
                FROM {SCHEMA}.{table} AS s
                WHERE tenant_id = :tenant_id AND s.model_name = k.model_name AND s.version_number = k.version_number
                OFFSET 0
            ) AS r
        ) AS t
        """  # noqa: S608  # names of our own tables and columns alone
    ).execution_options(yield_per=ROWS_PER_FETCH)


_VERDICTS: Final = _verdicts_of_keys("version_verdicts", "NULL::timestamptz, NULL::text")
_VERDICT_HISTORY: Final = _verdicts_of_keys("version_verdict_history", "valid_to, ended_by_sync_id")
_BADGES: Final = _of_keys("compliance_badges", "badge, changed_at, sync_id, NULL::timestamptz, NULL::text")
_BADGE_HISTORY: Final = _of_keys("compliance_badge_history", "badge, changed_at, sync_id, valid_to, ended_by_sync_id")
_MANIFESTS: Final = _of_keys("artifact_manifests", "changed_at, manifest::text")


def logged_states(session: TenantSession, keys: Sequence[Key]) -> Iterator[tuple[Key, LoggedState]]:
    """Yield the states of versions that the log has."""
    for name, number, *fields in _rows(session, _LOGGED, keys):
        yield (name, number), LoggedState(*fields)


def record_states(session: TenantSession, keys: Sequence[Key]) -> Iterator[tuple[Key, StoredState]]:
    """Yield the states of records.

    The columns are read as texts, from which the same content is built as ``record_content`` returns: decoding each
    value would take twice as long.
    """
    for table, statement in (("canonical_records", _RECORDS), ("canonical_record_history", _RECORD_HISTORY)):
        for row in _rows(session, statement, keys):
            content = content_hash(_texts(_RECORD_MAKERS, row[2:]))
            yield (row[0], row[1]), StoredState(table, "", row[-4], row[-3], content, row[-2], row[-1])


_TextMaker: TypeAlias = "tuple[str, Callable[[Any], str] | None]"
"""A column, and the function that turns the text that is read into the text that is hashed; None if they are equal."""


def _texts(makers: Iterable[_TextMaker], cells: Sequence[Any]) -> dict[str, str | None]:
    return {
        name: cell if cell is None or make is None else make(cell)
        for (name, make), cell in zip(makers, cells, strict=False)
    }


def _as_texts(table: Table, names: Iterable[str]) -> str:
    """Return the columns of a query, which ``_text_maker`` is for."""
    return ", ".join(name if isinstance(table.c[name].type, DateTime) else f"{name}::text" for name in names)


def _utc_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()


def canonical_json(stored: str) -> str:
    """Return JSON as ``dumps`` writes it, from JSON as Postgres does."""
    return _short_json(stored) if len(stored) < MAX_REMEMBERED_JSON else _canonical_json(stored)


MAX_REMEMBERED_JSON: Final = 2_000
"""The longest JSON that is cached, in characters: many records have equal short values, and versions of a model have
equal environments."""


def _canonical_json(stored: str) -> str:
    # orjson takes a quarter of the time of Python's encoder, and differs from it in very large and very small numbers
    # only.
    canonical = orjson.dumps(orjson.loads(stored), option=orjson.OPT_SORT_KEYS)
    has_extreme_number = b"0.0000" in canonical or _EXPONENT.search(canonical)
    return dumps(loads(stored)) if has_extreme_number else canonical.decode()


_EXPONENT: Final = re.compile(rb"e[-+]?\d+(?:[,}\]]|\Z)")
"""The pattern begins with a letter, since a search for a letter is much faster than one for the digits before it."""


_short_json = lru_cache(maxsize=5_000)(_canonical_json)


def _text_maker(table: Table, name: str) -> Callable[[Any], str] | None:
    column_type = table.c[name].type
    if isinstance(column_type, JSONB):  # Postgres reformats JSONB; it keeps the text of other JSON
        return canonical_json
    return _utc_text if isinstance(column_type, DateTime) else None


_RECORD_MAKERS: Final[Sequence[_TextMaker]] = [(name, _text_maker(canonical_records, name)) for name in RECORD_COLUMNS]
_RECORD_TEXTS: Final = _as_texts(canonical_records, RECORD_COLUMNS)
_RECORDS: Final = _of_keys("canonical_records", f"{_RECORD_TEXTS}, changed_at, sync_id, NULL::timestamptz, NULL::text")
_RECORD_HISTORY: Final = _of_keys(
    "canonical_record_history", f"{_RECORD_TEXTS}, changed_at, sync_id, valid_to, ended_by_sync_id"
)


def record_rows(session: TenantSession, keys: Sequence[Key]) -> Iterator[tuple[Key, str, Mapping[str, Any]]]:
    """Yield the rows of records, present and former ones, each with its key and the name of its table."""
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


def verdict_rows(session: TenantSession, keys: Sequence[Key]) -> Iterator[tuple[Key, StoredVerdicts]]:
    """Yield the verdicts on versions, present and former ones."""
    last = 1 + len(VERDICT_COLUMNS)
    for table, statement in (("version_verdicts", _VERDICTS), ("version_verdict_history", _VERDICT_HISTORY)):
        for name, number, *fields in _rows(session, statement, keys):
            yield (name, number), StoredVerdicts(table, fields[0], tuple(fields[1:last]), *fields[last:])


def badge_states(session: TenantSession, keys: Sequence[Key]) -> Iterator[tuple[Key, StoredBadge]]:
    """Yield the badges of versions, present and former ones."""
    for table, statement in (("compliance_badges", _BADGES), ("compliance_badge_history", _BADGE_HISTORY)):
        for name, number, *fields in _rows(session, statement, keys):
            yield (name, number), StoredBadge(table, *fields)


def manifest_states(session: TenantSession, keys: Sequence[Key]) -> Iterator[tuple[Key, StoredState]]:
    """Yield the manifests of versions. Former manifests are not stored."""
    for name, number, changed_at, manifest in _rows(session, _MANIFESTS, keys):
        content = content_hash(manifest_content(manifest))
        yield (name, number), StoredState("artifact_manifests", "", changed_at, None, content)


def event_states(session: TenantSession, keys: Sequence[Key]) -> Iterator[tuple[Key, str, StoredState]]:
    """Yield the events of versions and models, each with its kind of state. Columns are read as texts, like records."""
    models = [key for key in keys if key[1] == 0]
    for kind, table, columns in _EVENTS:
        makers = [(name, _text_maker(table, name)) for name in columns]
        for of_models in (False, True) if kind == "lifecycle event" and models else (False,):
            for row in _rows(session, _EVENT_STATES[kind, of_models], models if of_models else keys):
                content = content_hash(_texts(makers, row[5:]))
                yield (row[0], row[1]), kind, StoredState(table.name, f"event {row[2]}", row[3], row[4], content)


_EVENTS: Final = (
    ("lifecycle event", lifecycle_events, LIFECYCLE_COLUMNS),
    ("integrity event", integrity_events, INTEGRITY_COLUMNS),
)


_EVENT_STATES: Final = {
    (kind, of_models): _of_keys(
        table.name,
        f"event_id, seen_at, sync_id, {_as_texts(table, columns)}",
        "version_number IS NULL" if of_models else "version_number = k.version_number",
    )
    for kind, table, columns in _EVENTS
    for of_models in (False, True)
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


def _rows(session: TenantSession, statement: TextClause, keys: Sequence[Key]) -> Iterator[Row[Any]]:
    rows = session.execute(statement, _parameters(session, keys))
    for page in rows.partitions(ROWS_PER_FETCH):  # yield_per does not limit the pages of a textual query
        yield from page


def _parameters(session: TenantSession, keys: Sequence[Key]) -> dict[str, object]:
    names = [name for name, _ in keys]
    return {"tenant_id": escape(session.tenant_id), "names": names, "numbers": [number for _, number in keys]}


def _key_rows(keys: Sequence[Key]) -> TableValuedAlias:
    """Return keys as rows of a query. Names are not escaped again."""
    return (
        func.unnest(
            cast([name for name, _ in keys], ARRAY(PlainText)), cast([number for _, number in keys], ARRAY(Integer))
        )
        .table_valued(column("model_name", PlainText), column("version_number", Integer))
        .render_derived()
    )
